// Package certificates keeps the certificates with which controller and agents prove to one another who they are (package
// mtls): an authority of the install's own and a certificate of each side, in Secrets, made when they are missing and renewed
// long before they end.
//
// Manager reads the Secrets, plan (pure) decides what has to be written, issue.go makes it. Several Managers may run at once:
// every write is tied to what was read, and whoever loses reads again. plan.go has the rules, by which any two certificates
// that may be in use at the same time trust one another.
//
// Secrets that somebody else keeps, cert-manager for one, are checked and used but never written. The authority's key is in
// the Secret loam-ca and nowhere else; no key is ever logged.
package certificates
