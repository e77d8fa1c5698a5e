package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Media types of the OCI image specification 1.1.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// image is what is to be written.
type image struct {
	name         string // NAME:TAG
	architecture string
	entrypoint   []string
	layers       []layer
}

// layer is a compressed tar, with the digest of what it was before (image-spec, "Layer DiffID").
type layer struct {
	compressed []byte
	diffID     string
}

// descriptor refers to a blob (image-spec, "Content Descriptors").
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// manifestFile is the image manifest.
type manifestFile struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

// indexFile is index.json.
type indexFile struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

// configFile is the image configuration.
type configFile struct {
	Created      string    `json:"created"`
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Config       runConfig `json:"config"`
	RootFS       rootFS    `json:"rootfs"`
}

type runConfig struct {
	Env        []string          `json:"Env"`
	Entrypoint []string          `json:"Entrypoint"`
	Labels     map[string]string `json:"Labels"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// dockerImage is an element of manifest.json, which `docker load` reads.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// blobPath is where a blob is in an image layout.
func blobPath(digest string) string { return "blobs/" + strings.ReplaceAll(digest, ":", "/") }

// layer packs the tree.
func (t *tree) layer() (layer, error) {
	var plain, packed bytes.Buffer
	if err := t.write(&plain); err != nil {
		return layer{}, err
	}
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(plain.Bytes()); err != nil {
		return layer{}, err
	}
	if err := z.Close(); err != nil {
		return layer{}, err
	}
	return layer{compressed: packed.Bytes(), diffID: digest(plain.Bytes())}, nil
}

func (i image) config() configFile {
	c := configFile{
		Created: "1970-01-01T00:00:00Z", Architecture: i.architecture, OS: "linux",
		Config: runConfig{
			Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, Entrypoint: i.entrypoint,
			Labels: map[string]string{
				"org.opencontainers.image.source":   "https://github.com/loam-storage/loam",
				"org.opencontainers.image.licenses": "Apache-2.0",
			},
		},
		RootFS: rootFS{Type: "layers"},
	}
	for _, l := range i.layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.diffID)
	}
	return c
}

// contents puts the image into a tree: OCI's layout, and Docker's manifest.json over the same blobs.
func (i image) contents() (*tree, error) {
	_, tag, tagged := strings.Cut(i.name[strings.LastIndex(i.name, "/")+1:], ":")
	if !tagged || tag == "" {
		return nil, fmt.Errorf("%q is no name for an image: NAME:TAG was expected", i.name)
	}
	t := newTree()
	add := func(mediaType string, content []byte) descriptor {
		d := descriptor{MediaType: mediaType, Digest: digest(content), Size: len(content)}
		t.put(blobPath(d.Digest), 0o644, content)
		return d
	}
	config, err := json.Marshal(i.config())
	if err != nil {
		return nil, err
	}
	m := manifestFile{SchemaVersion: 2, MediaType: typeManifest, Config: add(typeConfig, config)}
	docker := dockerImage{Config: blobPath(m.Config.Digest), RepoTags: []string{i.name}}
	for _, l := range i.layers {
		d := add(typeLayer, l.compressed)
		m.Layers = append(m.Layers, d)
		docker.Layers = append(docker.Layers, blobPath(d.Digest))
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	d := add(typeManifest, manifest)
	// The first is containerd's, the second OCI's, which has the tag alone.
	d.Annotations = map[string]string{"io.containerd.image.name": i.name, "org.opencontainers.image.ref.name": tag}
	for name, value := range map[string]any{
		"oci-layout":    map[string]string{"imageLayoutVersion": "1.0.0"},
		"index.json":    indexFile{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{d}},
		"manifest.json": []dockerImage{docker},
	} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		t.put(name, 0o644, text)
	}
	return t, nil
}

// write gives the image as one tar.
func (i image) write(w io.Writer) error {
	t, err := i.contents()
	if err != nil {
		return err
	}
	return t.write(w)
}
