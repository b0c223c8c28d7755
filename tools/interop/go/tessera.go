package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
)

// What tessera's client needs of a log.
type source interface {
	ReadCheckpoint(ctx context.Context) ([]byte, error)
	ReadTile(ctx context.Context, level, index uint64, width uint8) ([]byte, error)
	ReadEntryBundle(ctx context.Context, index uint64, width uint8) ([]byte, error)
}

func openSource(log string) (source, error) {
	if !strings.Contains(log, "://") {
		return &client.FileFetcher{Root: log}, nil
	}
	root, err := parseURL(log)
	if err != nil {
		return nil, err
	}
	fetcher, err := client.NewHTTPFetcher(root, nil)
	if err != nil {
		return nil, err
	}
	if token := os.Getenv("FORESEAL_TOKEN"); token != "" {
		fetcher.SetAuthorizationHeader("Bearer " + token)
	}
	return fetcher, nil
}

// withTessera builds a proof for every receipt with tessera's client from the served tiles, verifies it with
// transparency-dev/merkle, and follows the log's checkpoints with tessera's state tracker.
func withTessera(ctx context.Context, log, vkey, receiptFile string) error {
	from, err := openSource(log)
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	head, _, _, err := client.FetchCheckpoint(ctx, from.ReadCheckpoint, verifier, verifier.Name())
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	builder, err := client.NewProofBuilder(ctx, head.Size, from.ReadTile)
	if err != nil {
		return err
	}
	receipts, err := readReceipts(receiptFile, vkey)
	if err != nil {
		return err
	}
	if len(receipts) == 0 {
		return errors.New("tessera's client is given receipts to check")
	}
	for _, one := range receipts {
		index := uint64(one.index)
		leaf := rfc6962.DefaultHasher.HashLeaf(one.leaf)
		own, err := builder.InclusionProof(ctx, index)
		if err != nil {
			return fmt.Errorf("leaf %d: %w", index, err)
		}
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, head.Size, leaf, own, head.Hash); err != nil {
			return fmt.Errorf("leaf %d: %w", index, err)
		}
		path := make([][]byte, 0, len(one.path))
		for _, hash := range one.path {
			path = append(path, hash[:])
		}
		size, root := uint64(one.at.size), one.at.root
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leaf, path, root[:]); err != nil {
			return fmt.Errorf("receipt of leaf %d: %w", index, err)
		}
		joined, err := builder.ConsistencyProof(ctx, size, head.Size)
		if err != nil {
			return err
		}
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, size, head.Size, joined, root[:], head.Hash); err != nil {
			return fmt.Errorf("checkpoints %d and %d: %w", size, head.Size, err)
		}
	}
	fmt.Printf("tessera: size %d, %d receipts, a proof of its own and a consistency proof for each\n", head.Size, len(receipts))
	return nil
}
