"""Training from the page's side of the server: begin, bring pictures, watch, stop, go on, take the model home."""

import time
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

import isthmus
from isthmus.web.training_jobs import Training, TrainingJobs

SMALL = {"model": "photographic", "hidden": [8], "code": 8, "patch": 16}


HTTP = httpx.Client(timeout=120)  # a busy machine is slow, not broken


def wait(address, name, *states, seconds=300):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        told = HTTP.get(f"{address}/api/trainings/{name}").json()
        if told["state"] in states:
            return told
        time.sleep(0.2)
    raise AssertionError(f"{told['state']}: {told['message']}")


def begin(address, paths, budget, name="mine", **fields):
    order = {"name": name, "task": "denoise", "budget": budget, "fields": {"noise": 0.1, **SMALL, **fields}}
    answer = HTTP.post(f"{address}/api/trainings", json=order)
    assert answer.status_code == 200, answer.text
    for path in paths:
        sent = {"image": (path.name, path.read_bytes(), "image/png")}
        assert HTTP.post(f"{address}/api/trainings/{name}/pictures", files=sent).status_code == 200
    assert HTTP.post(f"{address}/api/trainings/{name}/start").json()["state"] == "running"


def test_a_training_is_watched_stopped_goes_on_and_gives_a_model(address, pictures, tmp_path):
    begin(address, sorted(pictures.glob("*.png")), "15s")
    end = time.monotonic() + 300
    while not HTTP.get(f"{address}/api/trainings/mine").json()["examples"] and time.monotonic() < end:
        time.sleep(0.2)
    assert HTTP.get(f"{address}/api/trainings/mine/examples").content[:4] == b"\x89PNG"
    HTTP.post(f"{address}/api/trainings/mine/stop")
    stopped = wait(address, "mine", "stopped", "done")
    assert stopped["state"] == "stopped"
    assert stopped["curve"]
    assert HTTP.get(f"{address}/api/trainings/mine/model").status_code == 404
    HTTP.post(f"{address}/api/trainings/mine/start")
    done = wait(address, "mine", "done", "failed")
    assert (done["state"], done["message"]) == ("done", "")
    assert len(done["curve"]) > len(stopped["curve"])
    (tmp_path / "home.safetensors").write_bytes(HTTP.get(f"{address}/api/trainings/mine/model").content)
    model = isthmus.load(tmp_path / "home.safetensors")
    assert model.recipe.task == "denoise"
    sent = {"image": ("a.png", (pictures / "00.png").read_bytes(), "image/png")}
    restored = HTTP.post(f"{address}/api/restore", files=sent, data={"model": "mine"})
    assert restored.status_code == 200  # it is among the models


def test_a_training_survives_the_server_and_is_deleted(serving, pictures, tmp_path):
    address, app = serving()
    begin(address, sorted(pictures.glob("*.png"))[:4], "60s", name="long")
    HTTP.post(f"{address}/api/trainings/long/stop")  # it has hardly begun to prepare
    assert wait(address, "long", "stopped", "failed")["state"] == "stopped"
    begin(address, sorted(pictures.glob("*.png")), "2s", name="short")
    done = wait(address, "short", "done", "failed")
    assert done["after_db"] > 0
    assert done["before_db"] > 0
    app.state.jobs.close()
    later, _ = serving()
    assert {one["name"]: one["state"] for one in HTTP.get(f"{later}/api/trainings").json()} == {"long": "stopped", "short": "done"}
    again = HTTP.get(f"{later}/api/trainings/short").json()
    assert again["curve"] == done["curve"]
    assert HTTP.get(f"{later}/api/trainings/short/examples").content[:4] == b"\x89PNG"
    assert "short" in [one["name"] for one in HTTP.get(f"{later}/api/models").json()]
    taken = HTTP.post(f"{later}/api/trainings", json={"name": "short"})
    assert taken.json()["detail"] == "There is a model called short already: choose another name."
    assert HTTP.delete(f"{later}/api/trainings/short").json() == {"deleted": "short"}
    assert not (tmp_path / "trainings" / "short").exists()
    assert "short" not in [one["name"] for one in HTTP.get(f"{later}/api/models").json()]
    HTTP.post(f"{later}/api/trainings/long/start")
    refused = HTTP.delete(f"{later}/api/trainings/long")
    assert refused.json()["detail"] == "The training long is running: stop it first."


def test_the_curve_has_points_within_an_epoch(address, pictures):
    begin(address, sorted(pictures.glob("*.png")), "6s", epochs=None, batch_size=1)
    done = wait(address, "mine", "done", "failed")
    assert done["state"] == "done", done["message"]
    seconds = [second for second, _ in done["curve"]]
    assert seconds == sorted(seconds)
    assert len(seconds) >= 4
    assert done["seconds"] >= 6


def test_a_recipe_may_be_named(serving, tmp_path):
    address, app = serving()
    HTTP.post(f"{address}/api/trainings", json={"name": "a", "recipe": "vae", "budget": "5m"})
    fields = app.state.jobs.get("a").fields
    assert (fields["task"], fields["code_kind"], fields["budget"]) == ("reconstruct", "gaussian", "5m")
    assert "epochs" not in fields or fields["epochs"] is None
    (tmp_path / "own.json").write_text("{}")
    file = HTTP.post(f"{address}/api/trainings", json={"name": "b", "recipe": str(tmp_path / "own.json")})
    assert (file.status_code, "Unknown recipe" in file.json()["detail"]) == (400, True)  # none of the server's files is read
    unknown = HTTP.post(f"{address}/api/trainings", json={"name": "b", "recipe": "vea"})
    assert unknown.status_code == 400
    assert "vae" in unknown.json()["detail"]


def test_what_goes_wrong_is_told(serving, pictures, tmp_path):
    address, app = serving()
    (tmp_path / "broken.png").write_bytes(b"no picture")
    begin(address, [tmp_path / "broken.png"], "30s")
    failed = wait(address, "mine", "failed")
    assert "broken.png is not a picture" in failed["message"]
    begin(address, sorted(pictures.glob("*.png")), "60s", name="killed")
    wait(address, "killed", "running")
    second = HTTP.post(f"{address}/api/trainings", json={"name": "second", "fields": SMALL}).json()
    refused = HTTP.post(f"{address}/api/trainings/{second['name']}/start")
    assert refused.json()["detail"] == "The training killed is running: wait for it, or stop it."
    app.state.jobs.get("killed").process.kill()
    assert "ended by itself (status -9)" in wait(address, "killed", "failed")["message"]


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        ({"name": "../outside"}, "A model's name has letters"),
        ({"name": "a", "task": "fly"}, "The task must be one of"),
        ({"name": "a", "fields": {"data": "/etc"}}, "Not to be given among the fields: data."),
        ({"name": "a", "fields": {"init_from": "/etc/passwd"}}, "A training can start from these: "),
        ({"name": "a", "fields": {"epohcs": 3}}, "no field 'epohcs'"),
    ],
)
def test_mistakes_get_a_sentence(address, order, sentence, tmp_path):
    answer = HTTP.post(f"{address}/api/trainings", json=order)
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]
    assert not (tmp_path / "trainings").exists()


def test_pictures_of_one_name_both_stay_and_others_are_refused(serving):
    address, app = serving()
    HTTP.post(f"{address}/api/trainings", json={"name": "a"})
    for content in (b"one", b"two"):
        HTTP.post(f"{address}/api/trainings/a/pictures", files={"image": ("../../x.png", content, "image/png")})
    kept = sorted(app.state.jobs.get("a").pictures.iterdir())
    assert [path.name for path in kept] == ["x-2.png", "x.png"]
    assert [path.read_bytes() for path in kept] == [b"two", b"one"]
    refused = HTTP.post(f"{address}/api/trainings/a/pictures", files={"image": ("x.exe", b"", "image/png")})
    assert refused.json()["detail"] == "x.exe is no picture that isthmus reads."
    again = HTTP.post(f"{address}/api/trainings", json={"name": "a"})
    assert again.json()["detail"] == "There is a training called a already: choose another name."


def test_watching_changes_nothing(digits, watching):
    seen = []
    plain = isthmus.train(digits, model="dense", epochs=1, device="cpu")
    watched = isthmus.train(
        digits, model="dense", epochs=1, device="cpu", callbacks=watching(lambda progress: seen.append(progress.preview(3)))
    )
    assert all(
        np.array_equal(one.detach(), other.detach())
        for one, other in zip(plain.network.parameters(), watched.network.parameters(), strict=True)
    )
    assert [images.shape for images in seen[-1]] == [(3, 1, 28, 28)] * 3


def test_while_it_runs_it_always_has_a_phase(tmp_path):
    said = iter([{"phase": "finishing", "share": 1.0, "seconds": 9.0}, {"state": "done"}])

    class Pipe:
        def recv(self):
            for told in said:
                return told
            raise EOFError

    training, seen = Training("mine", tmp_path, {"task": "denoise", "budget": "9s"}, state="running"), []
    training.process = SimpleNamespace(join=lambda: None)
    jobs = TrainingJobs(tmp_path, ready=lambda path: seen.append(training.to_json()))
    jobs._listen(training, Pipe())
    seen.append(training.to_json())
    assert [(told["state"], told["phase"]) for told in seen] == [("running", "finishing"), ("done", "")]
