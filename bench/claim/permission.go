package claim

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// access is one permission: verbs on a resource.
type access struct {
	group, resource, sub string
	verbs                []string
	everywhere           bool // not in the namespace
}

func (a access) name() string {
	name := a.resource
	if a.group != "" {
		name += "." + a.group
	}
	if a.sub != "" {
		name += "/" + a.sub
	}
	return name
}

// needed is what a measurement takes, so that none ends half-way for want of it.
func needed(w Wanted, class *storagev1.StorageClass) []access {
	all := []access{
		{group: "batch", resource: "jobs", verbs: []string{"create", "get", "list", "delete"}},
		{resource: "pods", verbs: []string{"get", "list"}},
		{resource: "pods", sub: "log", verbs: []string{"get"}},
		{resource: "persistentvolumeclaims", verbs: []string{"list"}},
		{resource: "events", verbs: []string{"list"}},
	}
	if w.Each || w.Node != "" {
		all = append(all, access{resource: "nodes", verbs: []string{"list"}, everywhere: true})
	}
	if retains(class) {
		all = append(all, access{resource: "persistentvolumes", verbs: []string{"patch"}, everywhere: true})
	}
	return all
}

// retains says whether the class's volumes outlive their claims.
func retains(class *storagev1.StorageClass) bool {
	return class.ReclaimPolicy != nil && *class.ReclaimPolicy == corev1.PersistentVolumeReclaimRetain
}

// permitted is ErrForbidden with all that is missing. Who cannot even ask is told by what is refused later.
func (c *Client) permitted(ctx context.Context, all []access) error {
	var missing []string
	for _, a := range all {
		namespace, where := c.Namespace, " in namespace "+c.Namespace
		if a.everywhere {
			namespace, where = "", ""
		}
		var verbs []string
		for _, verb := range a.verbs {
			review, err := c.Kubernetes.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace: namespace, Verb: verb, Group: a.group, Resource: a.resource, Subresource: a.sub,
				}},
			}, metav1.CreateOptions{})
			if err == nil && !review.Status.Allowed {
				verbs = append(verbs, verb)
			}
		}
		if len(verbs) > 0 {
			missing = append(missing, strings.Join(verbs, ", ")+" "+a.name()+where)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrForbidden, strings.Join(missing, "; "))
}
