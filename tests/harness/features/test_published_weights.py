import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from harness.errors import UserError
from harness.features.published_weights import PublishedWeights, WeightsError, load_script

CONTENT = bytes(range(256)) * 5000  # more than one chunk


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


class Counting(SimpleHTTPRequestHandler):
    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        if self.path == "/short.pt":
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:-1])
        else:
            super().do_GET()

    def log_message(self, format, *args):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The address of a server that has the file, and what it was asked for."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "net.pt").write_bytes(CONTENT)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Counting.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Counting, directory=mirror)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def weights(address, content=CONTENT):
    return PublishedWeights("net.pt", address, hashlib.sha256(content).hexdigest())


def visible(folder):
    return sorted(
        path.name for path in folder.iterdir() if not path.name.startswith(".net.pt.lock")
    )


def test_the_file_is_fetched_once(served, folder):
    wanted = weights(served + "net.pt")
    assert wanted.fetch() == folder / "net.pt"
    assert wanted.fetch().read_bytes() == CONTENT
    assert Counting.asked == ["/net.pt"]
    assert visible(folder) == ["net.pt"]


def test_many_at_once_share_one_download(served, folder):
    wanted = weights(served + "net.pt")
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: wanted.fetch(), range(16)))
    assert set(paths) == {folder / "net.pt"}
    assert Counting.asked == ["/net.pt"]
    assert visible(folder) == ["net.pt"]


def test_a_file_put_there_by_hand_needs_no_network(folder):
    folder.mkdir(parents=True)
    (folder / "net.pt").write_bytes(CONTENT)
    assert weights("http://127.0.0.1:9/net.pt").fetch().read_bytes() == CONTENT


def test_without_a_network_the_message_says_which_file_goes_where(folder):
    wanted = weights("http://127.0.0.1:9/net.pt")
    with pytest.raises(WeightsError) as caught:
        wanted.fetch()
    message = str(caught.value)
    assert isinstance(caught.value, UserError)
    for part in ("net.pt", wanted.address, wanted.sha256, str(folder), "GENHARNESS_CACHE"):
        assert part in message
    assert visible(folder) == []


@pytest.mark.parametrize("file", ["short.pt", "missing.pt"])
def test_a_broken_download_leaves_nothing(served, folder, file):
    with pytest.raises(WeightsError, match="could not be downloaded"):
        weights(served + file).fetch()
    assert visible(folder) == []


def test_another_content_is_not_kept(served, folder):
    with pytest.raises(WeightsError, match="the SHA-256 of the download is"):
        weights(served + "net.pt", content=b"what was published").fetch()
    assert visible(folder) == []


def test_a_changed_file_is_named(folder):
    folder.mkdir(parents=True)
    (folder / "net.pt").write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(WeightsError, match=r"net\.pt is not the published file: its SHA-256 is"):
        weights("http://127.0.0.1:9/net.pt").fetch()


def test_a_changed_program_is_never_run(folder, monkeypatch):
    folder.mkdir(parents=True)
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(folder / "net.pt"))
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(WeightsError, match="is not the published file"):
        load_script(weights("http://127.0.0.1:9/net.pt"))
