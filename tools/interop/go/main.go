// Command tlogcheck judges a Foreseal log with software that is not Foreseal's.
//
//	tlogcheck xmod    LOG VKEY [RECEIPTS]   golang.org/x/mod/sumdb/{note,tlog}: the whole log, and receipts
//	tlogcheck tessera LOG VKEY [RECEIPTS]   transparency-dev/tessera's client and transparency-dev/merkle: the same
//
// LOG is a URL or a directory in the C2SP tlog-tiles layout; a token for it is read from FORESEAL_TOKEN. RECEIPTS is a file
// with one answer of the service a line. The last line says what was verified; whatever does not hold ends with status 1
// and one line that says what.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Far above any resource of a log: 256 entries of 65,535 bytes.
const maxResourceBytes = 17 << 20

// A signed checkpoint, verified.
type checkpoint struct {
	size int64
	root tlog.Hash
	text string
}

// One answer of the service: the leaf, and its proof.
type receipt struct {
	index int64
	leaf  []byte
	path  tlog.RecordProof
	at    checkpoint
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: tlogcheck xmod|tessera LOG VKEY [RECEIPTS]")
		os.Exit(2)
	}
	receipts := ""
	if len(os.Args) > 4 {
		receipts = os.Args[4]
	}
	var err error
	switch os.Args[1] {
	case "xmod":
		err = withXMod(os.Args[2], os.Args[3], receipts)
	case "tessera":
		err = withTessera(context.Background(), os.Args[2], os.Args[3], receipts)
	default:
		err = fmt.Errorf("there is no judge %q", os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rejected:", err)
		os.Exit(1)
	}
}

// fetcher reads resources by their path below the log's root.
func fetcher(log string) func(path string) ([]byte, error) {
	if !strings.Contains(log, "://") {
		return func(path string) ([]byte, error) { return os.ReadFile(filepath.Join(log, filepath.FromSlash(path))) }
	}
	client := &http.Client{Timeout: 30 * time.Second}
	return func(path string) ([]byte, error) {
		request, err := http.NewRequest(http.MethodGet, strings.TrimRight(log, "/")+"/"+path, nil)
		if err != nil {
			return nil, err
		}
		if token := os.Getenv("FORESEAL_TOKEN"); token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: status %d", path, response.StatusCode)
		}
		return io.ReadAll(io.LimitReader(response.Body, maxResourceBytes))
	}
}

// openCheckpoint verifies a signed checkpoint and reads its three lines (C2SP tlog-checkpoint).
func openCheckpoint(signed []byte, vkey string) (checkpoint, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return checkpoint{}, err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return checkpoint{}, fmt.Errorf("checkpoint: not one of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return checkpoint{}, errors.New("checkpoint: the root is no hash")
	}
	return checkpoint{size: size, root: tlog.Hash(root), text: opened.Text}, nil
}

// readReceipts reads answers and opens their receipts (C2SP tlog-proof); nothing is compared with the log yet.
func readReceipts(file, vkey string) ([]receipt, error) {
	if file == "" {
		return nil, nil
	}
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	var receipts []receipt
	lines := bufio.NewScanner(opened)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var answer struct {
			Index   int64
			Entry   []byte
			Receipt string
		}
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			return nil, err
		}
		one, err := openReceipt(answer.Receipt, vkey)
		if err != nil {
			return nil, fmt.Errorf("receipt of leaf %d: %w", answer.Index, err)
		}
		if one.index != answer.Index {
			return nil, fmt.Errorf("the answer names leaf %d, its receipt leaf %d", answer.Index, one.index)
		}
		one.leaf = answer.Entry
		receipts = append(receipts, one)
	}
	return receipts, lines.Err()
}

func openReceipt(text, vkey string) (receipt, error) {
	head, signed, found := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return receipt{}, errors.New("not a tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return receipt{}, err
	}
	one := receipt{index: index}
	for _, line := range lines[2:] {
		hash, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(hash) != tlog.HashSize {
			return receipt{}, fmt.Errorf("%q is no hash", line)
		}
		one.path = append(one.path, tlog.Hash(hash))
	}
	one.at, err = openCheckpoint([]byte(signed), vkey)
	return one, err
}

// entriesOf splits a bundle (C2SP tlog-tiles, "Log entries").
func entriesOf(bundle []byte) ([][]byte, error) {
	var entries [][]byte
	for len(bundle) > 0 {
		if len(bundle) < 2 {
			return nil, errors.New("a bundle ends inside a length")
		}
		length := int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < 2+length {
			return nil, errors.New("a bundle ends inside an entry")
		}
		entries = append(entries, bundle[2:2+length])
		bundle = bundle[2+length:]
	}
	return entries, nil
}

// resourcePath is the C2SP path of a tile: x/mod writes the height and calls bundles data.
func resourcePath(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), "tile/8/")
	return "tile/" + strings.Replace(path, "data/", "entries/", 1)
}

// tiles reads tiles for x/mod.
type tiles struct {
	fetch func(string) ([]byte, error)
}

func (tiles) Height() int { return 8 }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range wanted {
		bytes, err := t.fetch(resourcePath(tile))
		if err != nil {
			return nil, err
		}
		if len(bytes) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes", resourcePath(tile), len(bytes))
		}
		read = append(read, bytes)
	}
	return read, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// stored is x/mod's own tree, built here from the entries alone.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var read []tlog.Hash
	for _, index := range indexes {
		if index >= int64(len(s)) {
			return nil, fmt.Errorf("hash %d is not stored", index)
		}
		read = append(read, s[index])
	}
	return read, nil
}

// buildTree reads every entry and builds the tree over them.
func buildTree(fetch func(string) ([]byte, error), size int64) (stored, error) {
	var tree stored
	for n := int64(0); n*256 < size; n++ {
		width := min(256, size-n*256)
		path := resourcePath(tlog.Tile{H: 8, L: -1, N: n, W: int(width)})
		bundle, err := fetch(path)
		if err != nil {
			return nil, err
		}
		entries, err := entriesOf(bundle)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if int64(len(entries)) != width {
			return nil, fmt.Errorf("%s has %d entries instead of %d", path, len(entries), width)
		}
		for i, entry := range entries {
			hashes, err := tlog.StoredHashes(n*256+int64(i), entry, tree)
			if err != nil {
				return nil, err
			}
			tree = append(tree, hashes...)
		}
	}
	return tree, nil
}

func withXMod(log, vkey, receiptFile string) error {
	fetch := fetcher(log)
	signed, err := fetch("checkpoint")
	if err != nil {
		return err
	}
	head, err := openCheckpoint(signed, vkey)
	if err != nil {
		return err
	}
	tree, err := buildTree(fetch, head.size)
	if err != nil {
		return err
	}
	root, err := tlog.TreeHash(head.size, tree)
	if err != nil {
		return err
	}
	if root != head.root {
		return fmt.Errorf("the entries hash to %v, signed is %v", root, head.root)
	}
	count, err := compareTiles(fetch, tree, head)
	if err != nil {
		return err
	}
	receipts, err := readReceipts(receiptFile, vkey)
	if err != nil {
		return err
	}
	pairs, err := checkReceipts(receipts, head, tlog.TileHashReader(tlog.Tree{N: head.size, Hash: head.root}, tiles{fetch}))
	if err != nil {
		return err
	}
	fmt.Printf("x/mod: %d entries, %d tiles, %d receipts, %d consistency proofs\n", head.size, count, len(receipts), pairs)
	return nil
}

// compareTiles compares every served tile with the one that x/mod computes from the entries.
func compareTiles(fetch func(string) ([]byte, error), tree stored, head checkpoint) (int, error) {
	all := tlog.NewTiles(8, 0, head.size)
	for _, tile := range all {
		own, err := tlog.ReadTileData(tile, tree)
		if err != nil {
			return 0, err
		}
		served, err := fetch(resourcePath(tile))
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(own, served) {
			return 0, fmt.Errorf("%s is not what the entries hash to", resourcePath(tile))
		}
	}
	return len(all), nil
}

// checkReceipts checks every receipt against its own checkpoint, and every checkpoint against the next and the head, by
// proofs that x/mod makes from the served tiles alone.
func checkReceipts(receipts []receipt, head checkpoint, served tlog.HashReader) (int, error) {
	heads := []checkpoint{head}
	for _, one := range receipts {
		if err := tlog.CheckRecord(one.path, one.at.size, one.at.root, one.index, tlog.RecordHash(one.leaf)); err != nil {
			return 0, fmt.Errorf("receipt of leaf %d: %w", one.index, err)
		}
		leaf, err := served.ReadHashes([]int64{tlog.StoredHashIndex(0, one.index)})
		if err != nil {
			return 0, err
		}
		if leaf[0] != tlog.RecordHash(one.leaf) {
			return 0, fmt.Errorf("leaf %d of the log is another one than the receipt's", one.index)
		}
		heads = append(heads, one.at)
	}
	sort.Slice(heads, func(a, b int) bool { return heads[a].size < heads[b].size })
	for i := 1; i < len(heads); i++ {
		older, newer := heads[i-1], heads[i]
		proof, err := tlog.ProveTree(newer.size, older.size, served)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckTree(proof, newer.size, newer.root, older.size, older.root); err != nil {
			return 0, fmt.Errorf("checkpoints %d and %d: %w", older.size, newer.size, err)
		}
	}
	return len(heads) - 1, nil
}

func parseURL(log string) (*url.URL, error) {
	return url.Parse(strings.TrimRight(log, "/") + "/")
}
