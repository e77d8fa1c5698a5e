// Package docs has no code of its own: its tests read the documentation.
package docs
