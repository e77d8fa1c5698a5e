package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/loam-storage/loam/node/config"
)

// schema is as much of JSON Schema as says which keys there are.
type schema struct {
	Ref        string             `json:"$ref"`
	Properties map[string]*schema `json:"properties"`
	Additional any                `json:"additionalProperties"`
	Defs       map[string]*schema `json:"$defs"`
}

func valuesSchema(t *testing.T) *schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "helm", "loam", "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// paths are all keys below a schema that have none below themselves.
func (s *schema) paths(prefix string) []string {
	if len(s.Properties) == 0 {
		return []string{prefix}
	}
	var all []string
	for name, below := range s.Properties {
		all = append(all, below.paths(prefix+"."+name)...)
	}
	return all
}

func TestSchemaHasThePoolsKeysAndNoOthers(t *testing.T) {
	got := valuesSchema(t).Defs["pool"].paths("pools[]")
	var want []string
	for _, key := range config.Keys() {
		want = append(want, key.Path)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the schema has\n  %s\nand the configuration\n  %s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

func TestSchemaRefusesUnknownKeysEverywhere(t *testing.T) {
	var check func(s *schema, at string)
	check = func(s *schema, at string) {
		if len(s.Properties) > 0 && s.Additional != false {
			t.Errorf("%s takes unknown keys", at)
		}
		for name, below := range s.Properties {
			check(below, at+"/"+name)
		}
		for name, below := range s.Defs {
			check(below, "$defs/"+name)
		}
	}
	check(valuesSchema(t), "")
}
