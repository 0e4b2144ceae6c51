"""What the server survives, by the numbers of the list of failures: 46 to 56."""

import io
import json
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image


def png(height, width):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def restore(address, content, name="a.png", kind="image/png", **options):
    return httpx.post(f"{address}/api/restore", files={"image": (name, content, kind)}, data={"model": "denoise"}, **options)


def connected(address):
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def begun(address, declared=1000):
    """Return a connection whose request has begun, and whose body does not come."""
    opened = connected(address)
    head = (
        "POST /api/restore HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {declared}\r\n\r\n"
    )
    opened.sendall(head.encode() + b"--x")
    return opened


def is_alive(address):
    return httpx.get(f"{address}/api/health").json()["status"] == "ok"


def test_46_a_body_that_is_too_large_is_refused(serving):
    address, _ = serving(body_bytes=10_000)
    sentence = {"detail": "The request is larger than the 10,000 bytes that the server takes at once."}
    told = restore(address, b"x" * 1_000_000)
    assert (told.status_code, told.json()) == (413, sentence)
    begin = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    untold = httpx.post(
        f"{address}/api/restore",
        content=iter([begin, *[b"x" * 5000] * 10]),  # in parts, without a length
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert (untold.status_code, untold.json()) == (413, sentence)
    assert is_alive(address)


@pytest.mark.parametrize(
    "path", ["/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/style.css/../../app.py"]
)
def test_47_no_path_leads_out(address, path):
    with connected(address) as opened:
        opened.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert opened.makefile("rb").read().startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(("name", "kind"), [("a.txt", "text/plain"), ("a.svg", "application/octet-stream"), ("a.png", "text/html")])
def test_48_other_types_are_refused(address, name, kind):
    assert restore(address, b"hello", name, kind).status_code == 415
    assert httpx.post(f"{address}/api/restore", json={}).status_code == 415
    assert httpx.post(f"{address}/api/generate", content=b"{}").status_code == 415


@pytest.mark.parametrize("spoilt", ["cut off", "empty", "text", "bomb"])
def test_49_a_picture_that_breaks_the_decoder_leaves_the_server_alive(address, spoilt):
    content = png(40, 40)
    bomb = content[:16] + (30_000).to_bytes(4) * 2 + content[24:]
    answer = restore(address, {"cut off": content[:500], "empty": b"", "text": b"hello", "bomb": bomb}[spoilt])
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("a.png")
    assert restore(address, content).status_code == 200


def test_50_a_slow_client_is_not_waited_for(serving):
    address, _ = serving(body_seconds=0.5, head_seconds=0.5)
    with begun(address) as slow:
        answer = slow.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"did not arrive within 0.5 seconds" in answer
    with connected(address) as silent:
        silent.sendall(b"GET / HT")
        assert silent.makefile("rb").read() == b""
    assert is_alive(address)


def test_51_more_at_once_than_it_can_hold(serving):
    address, _ = serving(requests=2)
    waiting = [begun(address) for _ in range(2)]
    time.sleep(0.3)
    refused = restore(address, png(8, 8))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert is_alive(address)  # what brings no work is answered
    for opened in waiting:
        opened.close()
    time.sleep(0.3)
    assert restore(address, png(8, 8)).status_code == 200


def test_52_work_that_nobody_waits_for_is_given_up(serving):
    address, app = serving()
    with pytest.raises(httpx.ReadTimeout):
        restore(address, png(6000, 6000), timeout=httpx.Timeout(60, read=0.7))
    end = time.monotonic() + 20
    while not app.state.worker.given_up and time.monotonic() < end:
        time.sleep(0.05)
    assert app.state.worker.given_up == 1
    assert not app.state.worker.turn.locked()
    assert restore(address, png(8, 8)).status_code == 200


def test_53_a_port_that_is_taken(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, out, err = run("serve", "--port", port)
    assert (status, out) == (2, "")
    assert err.startswith(f"isthmus: Cannot listen on 127.0.0.1, port {port} (address already in use): name another --port")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "192.168.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_54_other_pages_are_refused(address, headers):
    assert httpx.get(f"{address}/api/models", headers=headers).status_code == 403
    assert httpx.get(f"{address}/", headers=headers).status_code == 403
    assert httpx.get(f"{address}/api/health", headers={"Origin": address}).status_code == 200


def test_55_sigterm_lets_what_is_under_way_end(start, web_models):
    server = start("serve", *web_models, "--port", "0", "--json")
    address = json.loads(server.stdout.readline())["address"].rstrip("/")
    answers = []
    client = threading.Thread(target=lambda: answers.append(restore(address, png(1500, 1500), timeout=60)))
    client.start()
    end = time.monotonic() + 30
    while not httpx.get(f"{address}/api/health").json()["working"] and time.monotonic() < end:
        time.sleep(0.01)
    server.send_signal(signal.SIGTERM)
    client.join()
    assert answers[0].status_code == 200
    assert server.wait(20) in (143, -signal.SIGTERM)
    assert server.stderr.read() == ""


def test_56_a_files_name_is_never_html(address):
    name = "<img src=x onerror=alert(1)>.png"
    answer = restore(address, png(8, 8), name)
    place = answer.headers["content-disposition"]
    assert place == "attachment; filename*=UTF-8''%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "script" not in answer.headers["content-security-policy"]  # none but the server's own


def test_it_listens_on_loopback_alone_and_phones_nobody(start, web_models):
    server = start("serve", web_models[0], "--port", "0", "--json")
    port = int(json.loads(server.stdout.readline())["address"].rstrip("/").rpartition(":")[2])
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [local for _, local, _, state, *_ in lines if local.endswith(f":{port:04X}") and state == "0A"]
    assert listening == [f"0100007F:{port:04X}"]
