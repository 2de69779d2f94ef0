import hashlib
import http.server
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from mer_pipe import models
from mer_pipe.types import ModelError

CONTENT = b"a model file" * 1000


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A known model called "tiny", published by a web server here; returns its answers for the test to change."""
    answers = {"body": CONTENT, "asked": 0, "status": 200}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answers["asked"] += 1
            self.send_response(answers["status"])
            self.end_headers()
            self.wfile.write(answers["body"])

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    known = models.KnownModel(
        file="tiny.task",
        purpose="tests",
        option="--tiny",
        url=f"http://127.0.0.1:{server.server_port}/tiny.task",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        licence="CC0-1.0",
    )
    monkeypatch.setitem(models.KNOWN, "tiny", known)
    monkeypatch.setenv("MERPIPE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield answers
    server.shutdown()
    server.server_close()
    thread.join()


def left_over(tmp_path):
    folder = tmp_path / "models"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_an_absent_model_is_downloaded_once(published, tmp_path):
    first, second = models.find("tiny"), models.find("tiny")
    assert first == second
    assert published["asked"] == 1
    assert first.digest == f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    assert Path(first.path).read_bytes() == CONTENT
    assert left_over(tmp_path) == ["tiny.task"]


@pytest.mark.parametrize("body", [CONTENT[:-1], CONTENT + b"!", b"x" * len(CONTENT), b""])
def test_another_file_at_the_address_is_refused_and_leaves_nothing(published, tmp_path, body):
    published["body"] = body
    with pytest.raises(ModelError, match="does not hold the published"):
        models.find("tiny")
    assert left_over(tmp_path) == []


def test_a_failed_download_names_the_three_ways(published, tmp_path):
    published["status"] = 404
    with pytest.raises(ModelError) as caught:
        models.find("tiny")
    assert "404" in caught.value.message
    for way in ("--tiny", str(tmp_path / "models" / "tiny.task"), "http://127.0.0.1"):
        assert way in caught.value.fix
    assert left_over(tmp_path) == []


def test_an_address_that_does_not_answer_is_a_model_error(published, monkeypatch):
    monkeypatch.setitem(models.KNOWN, "tiny", replace(models.KNOWN["tiny"], url="http://127.0.0.1:9/tiny.task"))
    with pytest.raises(ModelError, match="could not be downloaded"):
        models.find("tiny")


def test_nothing_is_asked_of_the_network_when_told_so(published):
    with pytest.raises(ModelError, match="not on this machine"):
        models.find("tiny", download=False)
    assert published["asked"] == 0


def test_a_damaged_file_in_the_models_folder_is_never_used(published, tmp_path):
    models.find("tiny")
    (tmp_path / "models" / "tiny.task").write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(ModelError, match="damaged"):
        models.find("tiny")
    assert [row.state for row in models.status() if row.name == "tiny"] == ["damaged"]


def test_an_explicit_path_is_taken_with_its_own_digest(published, tmp_path):
    other = tmp_path / "mine.task"
    other.write_bytes(b"another release")
    assert models.find("tiny", other).digest == f"sha256:{hashlib.sha256(b'another release').hexdigest()}"
    assert published["asked"] == 0


def test_an_explicit_path_that_is_absent_is_a_model_error(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        models.find("face_landmarker", tmp_path / "none.task")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ModelError, match="face_landmarker"):
        models.find("face_landmaker")


def test_status_tells_absent_from_ready_and_downloads_nothing(published):
    def state():
        return {row.name: row.state for row in models.status()}["tiny"]

    assert state() == "absent"
    assert published["asked"] == 0
    models.find("tiny")
    assert state() == "ready"


def test_the_models_folder_follows_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("MERPIPE_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert models.folder() == tmp_path / "mer-pipe" / "models"


def test_the_shared_landmarker_is_the_pinned_one(shared):
    known = models.KNOWN["face_landmarker"]
    path = shared / "models" / "face_landmarker.task"
    assert models.weights_from(path).digest == f"sha256:{known.sha256}"
    assert path.stat().st_size == known.size
