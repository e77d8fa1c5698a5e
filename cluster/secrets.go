package cluster

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// annotations that stay in a bundle: Loam's, and those by which volumes are made and bound. Of all others nobody knows what is in them.
var annotations = []string{"loam.storage/", "pv.kubernetes.io/", "volume.kubernetes.io/", "volume.beta.kubernetes.io/", "storageclass.kubernetes.io/", "csi.volume.kubernetes.io/"}

// clean is an object as YAML, without what is nobody's business.
func clean(object any) ([]byte, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, err
	}
	strip(value)
	return yaml.Marshal(value)
}

// strip removes, wherever they are, the bookkeeping of fields, foreign annotations, and the values of environment variables.
func strip(value any) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			strip(item)
		}
	case map[string]any:
		delete(v, "managedFields")
		if all, ok := v["annotations"].(map[string]any); ok {
			for key := range all {
				if !slices.ContainsFunc(annotations, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
					delete(all, key)
				}
			}
		}
		if all, ok := v["env"].([]any); ok {
			for _, item := range all {
				if variable, ok := item.(map[string]any); ok {
					delete(variable, "value")
				}
			}
		}
		for _, item := range v {
			strip(item)
		}
	}
}

// secrets are what keys and tokens look like: PEM, JSON Web Tokens, and what follows "Bearer". Nothing of Loam's logs any; this is for what
// somebody else's error may quote.
var secrets = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*|(?i:bearer) +[A-Za-z0-9._~+/-]{16,}=*`)

// blackened is text without them.
func blackened(text []byte) []byte { return secrets.ReplaceAll(text, []byte("(REMOVED)")) }
