// Package mtls is how Loam's parts prove to one another who they are: TLS 1.3, in which each side shows a certificate with
// one agreed DNS name, from an authority that the other trusts.
//
// Material is one set of certificate, key and authorities that fit together. A Source has the set to use now: Folder reads
// a mounted Secret again when it changes, Memory holds what it was given. Server and Client are the two ends as tls.Config;
// ServerCredentials and ClientCredentials the same for gRPC.
//
// The set is chosen anew for every handshake: certificates and authorities change without a restart, and connections that
// are open stay open. The package makes no certificates, never writes a file, and no error or text of it holds a key.
package mtls
