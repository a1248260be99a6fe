//go:build tools

// The S3 servers of the tests and of local development, pinned with all they are made of by go.sum.
package tools

import (
	_ "github.com/minio/minio"
	_ "github.com/versity/versitygw/cmd/versitygw"
)
