"""A model sent to a hub and fetched again: against a small server that speaks as the hub does, by the hub's own library."""

import base64
import hashlib
import json
import re
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import isthmus
from isthmus.export.model_card import model_card

IMPATIENT = "import time; time.sleep = lambda seconds: None; from isthmus.cli import main; main()"
"""The command line, without the library's waits of up to 8 seconds before it tries again."""

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Keeps files by repository: what huggingface_hub asks for to create one, to commit files, and to fetch one."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != "Bearer right":
            return self.answer(401, {"error": "who are you?"})
        if self.path == "/api/repos/create":
            body = json.loads(body)
            name = "/".join(filter(None, (body.get("organization"), body["name"])))
            self.server.repositories.setdefault(name, {})
            return self.answer(200, {"url": f"{self.server.address}/{name}", "id": name})
        if self.path == "/api/validate-yaml":  # the card's first lines
            return self.answer(200, {"errors": [], "warnings": []})
        name = re.match(r"/api/models/([^/]+/[^/]+)/", self.path)[1]
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            return self.answer(
                200, {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files]}
            )
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.repositories[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return self.answer(
                200, {"commitUrl": f"{self.server.address}/{name}/commit/{COMMIT}", "commitOid": COMMIT, "success": True}
            )
        return self.answer(404, {"error": self.path})

    def do_GET(self):
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.*)", self.path)
        if not match:
            return self.answer(404, {})
        name, revision, file = match.groups()
        files = self.server.repositories.get(name)
        if files is None:
            return self.answer(404, {}, {"X-Error-Code": "RepoNotFound"})
        if revision not in ("main", COMMIT):
            return self.answer(404, {}, {"X-Error-Code": "RevisionNotFound"})
        if file not in files:
            return self.answer(404, {}, {"X-Error-Code": "EntryNotFound"})
        content = files[file]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        return self.answer(200, content, headers)

    do_HEAD = do_GET  # noqa: N815

    def answer(self, status, content, headers=None):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": len(content), "Content-Type": "application/json"}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.address = f"http://127.0.0.1:{server.server_address[1]}"
    server.repositories = {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def command(hub, tmp_path):
    """Return what runs isthmus with the hub as its only one; the library reads its settings when it is imported."""

    def command(*arguments, token="right", patient=True):
        environment = {
            "PATH": "/usr/bin:/bin",
            "HF_ENDPOINT": hub.address,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": token,
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        how = ["-m", "isthmus"] if patient else ["-c", IMPATIENT]
        line = [sys.executable, *how, *map(str, arguments)]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr

    return command


def test_a_model_goes_to_the_hub_and_comes_back(hub, command, model_files, tmp_path, digits):
    status, out, err = command("push", model_files["dense"], "anna/digits")
    assert (status, out.strip(), err) == (0, f"{hub.address}/anna/digits", "")
    kept = hub.repositories["anna/digits"]
    assert set(kept) == {"model.safetensors", "README.md", "curves.png"}
    assert b"isthmus pull anna/digits --out digits.safetensors" in kept["README.md"]
    status, out, err = command("pull", "anna/digits", "--out", tmp_path / "digits.safetensors", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["task"] == "reconstruct"
    given, wanted = (isthmus.load(path).restore(digits) for path in (tmp_path / "digits.safetensors", model_files["dense"]))
    assert (given == wanted).all()
    status, _, err = command("pull", "anna/digits", "--out", tmp_path / "digits.safetensors")
    assert status == 2
    assert "exists already" in err


def test_what_a_hub_refuses_is_told(hub, command, model_files, tmp_path):
    out = tmp_path / "m.safetensors"
    assert command("push", model_files["dense"], "anna/digits", token="wrong") == (
        1,
        "",
        "isthmus: The hub answered 401 for anna/digits. Log in with `hf auth login`.\n",
    )
    assert command("push", model_files["dense"], "a/b/c")[::2] == (
        2,
        "isthmus: The name of a model on a hub must be OWNER/NAME, not a/b/c.\n",
    )
    assert command("pull", "anna/none", "--out", out)[::2] == (
        1,
        "isthmus: The hub has no anna/none of that revision, or you may not see it. Log in with `hf auth login`.\n",
    )
    hub.repositories["anna/other"] = {"config.json": b"{}"}
    assert command("pull", "anna/other", "--out", out)[::2] == (
        4,
        "isthmus: anna/other holds no model.safetensors, so it is no model of isthmus.\n",
    )
    hub.repositories["anna/other"]["model.safetensors"] = b"a pickle, say"
    status, _, err = command("pull", "anna/other", "--out", out)
    assert (status, err) == (4, "isthmus: anna/other is not a model file of isthmus (no safetensors header).\n")
    hub.shutdown()
    hub.server_close()
    status, _, err = command("pull", "anna/digits", "--out", out, patient=False)
    assert status == 1
    assert err.startswith("isthmus: The hub cannot be reached for anna/digits")
    assert not out.exists()


def test_the_card_says_what_the_file_says(dense):
    before, dense.info = (
        dense.info,
        replace(dense.info, scores=[{"data": "digits", "psnr_db": 20.123}, {"data": "others", "psnr_db": 19.0, "ssim": 0.5}]),
    )
    text = model_card(dense, "anna/digits")
    dense.info = before
    assert text.startswith("---\nlibrary_name: isthmus\n")
    assert "| parameters | 50,992 |" in text
    assert "| digits | 20.12 |  |" in text
    assert json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])["model"] == "dense"
