package main

import (
	"fmt"
	"maps"
	"testing"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// judge evaluates a policy as the API server does: match conditions, variables in order, then validations; an error
// anywhere denies, as failurePolicy is Fail. It says why, or "" if the request is admitted.
func judge(t *testing.T, p admissionv1.ValidatingAdmissionPolicySpec, request, object, oldObject map[string]any) string {
	t.Helper()
	env, err := cel.NewEnv(cel.OptionalTypes(), cel.HomogeneousAggregateLiterals(), cel.EagerlyValidateDeclarations(true),
		cel.Variable("request", cel.DynType), cel.Variable("object", cel.DynType), cel.Variable("oldObject", cel.DynType),
		cel.Variable("variables", cel.MapType(cel.StringType, cel.DynType)))
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string]any{}
	evaluate := func(expression string) (any, error) {
		ast, issues := env.Compile(expression)
		if issues.Err() != nil {
			t.Fatalf("%s: %v", expression, issues.Err())
		}
		program, err := env.Program(ast)
		if err != nil {
			t.Fatal(err)
		}
		value, _, err := program.Eval(map[string]any{
			"request": request, "object": orNull(object), "oldObject": orNull(oldObject), "variables": variables,
		})
		if err != nil {
			return nil, err
		}
		return value.Value(), nil
	}
	for _, c := range p.MatchConditions {
		if met, err := evaluate(c.Expression); err != nil {
			return err.Error()
		} else if met != true {
			return ""
		}
	}
	for _, v := range p.Variables {
		value, err := evaluate(v.Expression)
		if err != nil {
			return err.Error()
		}
		variables[v.Name] = value
	}
	for _, v := range p.Validations {
		valid, err := evaluate(v.Expression)
		if err != nil {
			return err.Error()
		}
		if valid == true {
			continue
		}
		if message, err := evaluate(v.MessageExpression + orEmptyText(v.MessageExpression)); err == nil && message != "" {
			return fmt.Sprint(message)
		}
		return v.Message
	}
	return ""
}

func orNull(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

func orEmptyText(expression string) string {
	if expression == "" {
		return "''"
	}
	return ""
}

const agentUser = "system:serviceaccount:loam-system:loam-agent"

// by is a request of the agent whose token names a node; "" for a token that names none.
func by(node string) map[string]any {
	user := map[string]any{"username": agentUser}
	if node != "" {
		user["extra"] = map[string]any{"authentication.kubernetes.io/node-name": []any{node}}
	}
	return map[string]any{"userInfo": user}
}

// capacityOf is a node's capacity object as its agent writes it.
func capacityOf(node string) map[string]any {
	return map[string]any{
		"metadata": map[string]any{
			"name":            "loam-1",
			"ownerReferences": []any{map[string]any{"apiVersion": "v1", "kind": "Node", "name": node, "uid": "u"}},
		},
		"nodeTopology":     map[string]any{"matchLabels": map[string]any{"loam.storage/node": node}},
		"storageClassName": "fast",
	}
}

// with is a copy with another value for a key at the top.
func with(object map[string]any, key string, value any) map[string]any {
	object = maps.Clone(object)
	object[key] = value
	if value == nil {
		delete(object, key)
	}
	return object
}

func TestAgentsWriteTheirOwnNodesCapacityOnly(t *testing.T) {
	policy := only[*admissionv1.ValidatingAdmissionPolicy](t, decode(t, committed(t, "loam.yaml")), "loam-agent").Spec
	own, others := capacityOf("n1"), capacityOf("n2")
	topology := func(labels map[string]any, more ...any) map[string]any {
		s := map[string]any{"matchLabels": labels}
		if more != nil {
			s["matchExpressions"] = more
		}
		return with(own, "nodeTopology", s)
	}
	owners := func(all ...any) map[string]any {
		return with(own, "metadata", map[string]any{"name": "loam-1", "ownerReferences": all})
	}
	node := func(apiVersion, kind, name string) map[string]any {
		return map[string]any{"apiVersion": apiVersion, "kind": kind, "name": name, "uid": "u"}
	}
	const (
		noNode        = "the token names no node; an agent's token is bound to its pod"
		wrongTopology = "nodeTopology must be the matchLabel loam.storage/node: n1, and nothing else"
		wrongOwner    = "the only owner must be Node n1"
	)
	for _, c := range []struct {
		name               string
		request            map[string]any
		object, old        map[string]any
		want               string
		deniedForAnyReason bool
	}{
		{name: "its own is created", request: by("n1"), object: own},
		{name: "updated", request: by("n1"), object: own, old: own},
		{name: "deleted", request: by("n1"), old: own},
		{name: "one whose owner somebody removed is mended", request: by("n1"), object: own, old: owners()},
		{name: "another node's is created", request: by("n1"), object: others, want: wrongTopology},
		{name: "updated", request: by("n1"), object: others, old: others, want: wrongTopology},
		{name: "deleted", request: by("n1"), old: others, want: wrongTopology},
		{name: "another node's becomes its own", request: by("n1"), object: own, old: others, want: wrongTopology},
		{name: "its own becomes another node's", request: by("n1"), object: others, old: own, want: wrongTopology},
		{name: "a token without a node", request: by(""), object: capacityOf(""), want: noNode},
		{name: "a node without a name", request: with(by("n1"), "userInfo", map[string]any{
			"username": agentUser, "extra": map[string]any{"authentication.kubernetes.io/node-name": []any{}}}), object: own, want: noNode},
		{name: "no object at all, as for a collection", request: by("n1"), want: wrongTopology},
		{name: "no topology", request: by("n1"), object: with(own, "nodeTopology", nil), want: wrongTopology},
		{name: "a topology of every node", request: by("n1"), object: with(own, "nodeTopology", map[string]any{}), want: wrongTopology},
		{name: "another driver's topology", request: by("n1"), old: topology(map[string]any{"topology.example/node": "n1"}), want: wrongTopology},
		{name: "one label more", request: by("n1"), object: topology(map[string]any{"loam.storage/node": "n1", "zone": "a"}), want: wrongTopology},
		{name: "an expression", request: by("n1"), object: topology(map[string]any{"loam.storage/node": "n1"}, map[string]any{"key": "zone", "operator": "Exists"}), want: wrongTopology},
		{name: "no owner", request: by("n1"), object: owners(), want: wrongOwner},
		{name: "another node as owner", request: by("n1"), object: owners(node("v1", "Node", "n2")), want: wrongOwner},
		{name: "a second owner", request: by("n1"), object: owners(node("v1", "Node", "n1"), node("v1", "Node", "n2")), want: wrongOwner},
		{name: "a pod as owner", request: by("n1"), object: owners(node("v1", "Pod", "n1")), want: wrongOwner},
		{name: "another API's node as owner", request: by("n1"), object: owners(node("example/v1", "Node", "n1")), want: wrongOwner},
		{name: "an object without metadata", request: by("n1"), object: with(own, "metadata", nil), deniedForAnyReason: true},
		{name: "somebody else may, as RBAC says", request: map[string]any{"userInfo": map[string]any{"username": "admin"}}, object: others},
		{name: "a user without a name is not let through as somebody else", request: map[string]any{"userInfo": map[string]any{}}, object: own, deniedForAnyReason: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge(t, policy, c.request, c.object, c.old)
			if c.deniedForAnyReason && got == "" || !c.deniedForAnyReason && got != c.want {
				t.Errorf("answer %q, want %q", got, c.want)
			}
		})
	}
}

func TestPolicyIsAskedForEveryWriteOfACapacity(t *testing.T) {
	policy := only[*admissionv1.ValidatingAdmissionPolicy](t, decode(t, committed(t, "loam.yaml")), "loam-agent").Spec
	rule := policy.MatchConstraints.ResourceRules[0]
	if got := fmt.Sprint(rule.APIGroups, rule.APIVersions, rule.Resources, rule.Operations); got != "[storage.k8s.io] [*] [csistoragecapacities] [CREATE UPDATE DELETE]" {
		t.Errorf("it is asked for %s", got)
	}
}
