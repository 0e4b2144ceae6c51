"""The functions answer as their own description says, whatever they are sent."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from isthmus.datasets import open_data
from isthmus.web.app import create_app
from isthmus.web.model_store import ModelStore

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
HERE = {"Host": "127.0.0.1"}


@pytest.fixture(scope="module")
def described(web_models, digits_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trainings")
    app = create_app(ModelStore(web_models, "cpu"), source=open_data(digits_file), trainings=folder)
    yield schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=HERE).exclude(path_regex="/start$")  # it would learn
    app.state.jobs.close()


def test_every_answer_is_described(described):
    seen = []
    for result in described.get_all_operations():
        operation = result.ok()

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
        @given(case=operation.as_strategy())
        def ask(case):
            case.call_and_validate(checks=CHECKS, headers=HERE)

        ask()
        seen.append(f"{operation.method} {operation.path}")
    assert len(seen) >= 18
    assert "post /api/restore" in seen
