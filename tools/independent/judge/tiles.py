"""Reading a C2SP tlog-tiles log from a directory or over HTTP(S)."""

import http.client
import os
import socket
import ssl
import time
import urllib.parse
import zlib

from .merkle import TILE_WIDTH
from .outcome import Invalid, Undecided

MAX_CHECKPOINT_BYTES = 1 << 20
MAX_BUNDLE_BYTES = TILE_WIDTH * (2 + 65535)
TIMEOUT_SECONDS = 30
ATTEMPTS = 4


def tile_path(level, number, width=TILE_WIDTH):
    """`level` is a number, or "entries" for bundles."""
    groups = ["%03d" % (number % 1000)]
    while number >= 1000:
        number //= 1000
        groups.insert(0, "x%03d" % (number % 1000))
    suffix = "" if width == TILE_WIDTH else ".p/%d" % width
    return "tile/%s/%s%s" % (level, "/".join(groups), suffix)


class Directory:
    """A plain directory in the layout of the URLs."""

    live = False

    def __init__(self, path):
        self.root = path
        if not os.path.isdir(path):
            raise Undecided("%s is not a directory" % path)

    def get(self, path, limit):
        """The resource's bytes, or None where there is none."""
        try:
            with open(os.path.join(self.root, *path.split("/")), "rb") as file:
                data = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Undecided("cannot read %s: %s" % (path, error)) from None
        if len(data) > limit:
            raise Invalid("%s is larger than the %d bytes it may have" % (path, limit))
        return data

    def partial_widths(self, full_path):
        """Widths of the partial files kept beside a tile, for checking all that is there."""
        try:
            names = os.listdir(os.path.join(self.root, *(full_path + ".p").split("/")))
        except OSError:
            return []
        return sorted(int(n) for n in names if n.isascii() and n.isdigit() and 1 <= int(n) < TILE_WIDTH)


class Web:
    """A log's URL prefix. Redirects are not followed, so that the token goes nowhere else."""

    live = True

    def __init__(self, url, token=None):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Undecided("%s is not an http or https URL" % url)
        self.parts, self.prefix = parts, parts.path.rstrip("/")
        self.headers = {"Accept-Encoding": "identity", "User-Agent": "foreseal-independent-verifier"}
        if token:
            self.headers["Authorization"] = "Bearer " + token
        self.connection = None

    def _connect(self):
        if self.parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self.parts.hostname, self.parts.port, timeout=TIMEOUT_SECONDS, context=context)
        return http.client.HTTPConnection(self.parts.hostname, self.parts.port, timeout=TIMEOUT_SECONDS)

    def _once(self, path, limit):
        if self.connection is None:
            self.connection = self._connect()
        self.connection.request("GET", self.prefix + "/" + path, headers=self.headers)
        response = self.connection.getresponse()
        # Hashes do not compress: gzip makes a tile slightly longer than it is.
        most = limit + limit // 100 + 1024
        data = response.read(most + 1)
        if len(data) > most:
            self._drop()
        # C2SP lets a log answer with gzip though nobody asked for it.
        elif response.getheader("Content-Encoding", "identity").lower() == "gzip":
            data = zlib.decompressobj(31).decompress(data, limit + 1)
        return response.status, data

    def _drop(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def get(self, path, limit):
        trouble = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(0.2 * 2**attempt)
            try:
                status, data = self._once(path, limit)
            except (OSError, socket.timeout, http.client.HTTPException, zlib.error) as error:
                self._drop()
                trouble = "%s: %s" % (type(error).__name__, error)
                continue
            if status == 200:
                if len(data) > limit:
                    raise Invalid("%s is larger than the %d bytes it may have" % (path, limit))
                return data
            if status in (404, 410):
                return None
            trouble = "HTTP status %d" % status
            if status in (401, 403):
                trouble += " (a token is needed: --token)"
            if status not in (408, 429, 500, 502, 503, 504):
                break
        raise Undecided("cannot read %s: %s" % (path, trouble))

    def partial_widths(self, _full_path):
        return []


def open_source(where, token=None):
    if where.startswith(("http://", "https://")):
        return Web(where, token)
    return Directory(where[len("file://") :] if where.startswith("file://") else where)


def split_bundle(data, what):
    """The entries of a bundle: each a 16-bit length and that many bytes."""
    entries, at = [], 0
    while at < len(data):
        if at + 2 > len(data):
            raise Invalid("%s ends within a length" % what)
        length = data[at] << 8 | data[at + 1]
        at += 2
        if at + length > len(data):
            raise Invalid("%s ends within an entry" % what)
        entries.append(data[at : at + length])
        at += length
        if len(entries) > TILE_WIDTH:
            raise Invalid("%s holds more than %d entries" % (what, TILE_WIDTH))
    return entries


class LogReader:
    """Checkpoint, tiles and bundles of one log; verifies shapes, not hashes."""

    def __init__(self, source):
        self.source = source

    def checkpoint(self):
        data = self.source.get("checkpoint", MAX_CHECKPOINT_BYTES)
        if data is None:
            raise Undecided("the log has no checkpoint")
        return data

    def _resource(self, level, number, width, limit):
        """The bytes, and whether they are those of the full tile that replaced a partial one."""
        path = tile_path(level, number, width)
        data = self.source.get(path, limit)
        if data is not None:
            return data, False
        if width < TILE_WIDTH:
            data = self.source.get(tile_path(level, number), limit)
            if data is not None:
                return data, True
        raise Undecided("the log does not have %s, which its checkpoint requires" % path)

    def hashes(self, level, number, width):
        """`width` hashes of a tile."""
        data, wider = self._resource(level, number, width, TILE_WIDTH * 32)
        if len(data) != (TILE_WIDTH if wider else width) * 32:
            raise Invalid("%s has %d bytes" % (tile_path(level, number, width), len(data)))
        return [data[i : i + 32] for i in range(0, width * 32, 32)]

    def entries(self, number, width):
        """`width` entries of a bundle."""
        path = tile_path("entries", number, width)
        data, wider = self._resource("entries", number, width, MAX_BUNDLE_BYTES)
        entries = split_bundle(data, path)
        if len(entries) != (TILE_WIDTH if wider else width):
            raise Invalid("%s holds %d entries" % (path, len(entries)))
        return entries[:width]
