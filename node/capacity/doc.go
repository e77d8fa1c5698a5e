// Package capacity tells kube-scheduler what the pools of this node can still give: it keeps one CSIStorageCapacity
// object for each StorageClass of ours that the node can serve (Kubernetes, "Storage Capacity").
//
// Publisher runs it. What to write is one pure function, plan, on what the StorageClasses ask for, what pool.Rooms says,
// and what the objects say now. Figures are rounded down (roundedDown); they go down at once and up after a hold, as
// every increase makes kube-scheduler try all pending pods again. A figure is written when it differs from what the object
// says, and not otherwise.
//
// The package watches StorageClasses and this node's own objects, nothing else. It never polls the API server, never
// touches an object that is not this node's, and never publishes a failed look at LVM as "nothing left".
package capacity
