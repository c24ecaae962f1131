"""Logs, configurations, messages and reports hold no credentials."""

import json
import logging
import subprocess
import sys

import pytest

from flan_jax import gin_utils, last_words, redaction, report, telemetry
from flan_jax.errors import ConfigError

# Made up, and put together here so that no scanner takes them for real ones.
SECRETS = {
    "password": "me:p4ss-w0rd!",
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "google": "AIza" + "SyA" + "b1" * 16,
    "oauth": "ya29." + "a0AfH6SMBx" * 3,
    "hugging_face": "hf_" + "aB3" * 12,
    "github": "ghp_" + "aB3" * 12,
    "gitlab": "glpat-" + "a1" * 12,
    "slack": "xoxb-" + "1234567890-abc",
    "openai": "sk-proj-" + "a1B2" * 8,
    "jwt": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0." + "c2lnbmF0dXJl",
    "signature": "0123abcdef",
    "key": "\nMIIEvQIBADANBg\n",
}
TEXTS = {
    "password": "https://{}@host:8080/x",
    "aws": "key {} found",
    "google": "https://x/y?z=1&key={}",
    "oauth": "token {}",
    "hugging_face": "login with {}",
    "github": "git clone https://{}@github.com/x/y",
    "gitlab": "'{}'",
    "slack": "{}",
    "openai": "key={}",
    "jwt": "jwt {}.",
    "signature": "https://storage.googleapis.com/b/o?X-Goog-Date=1&X-Goog-Signature={}&a=b",
    "key": "-----BEGIN PRIVATE KEY-----{}-----END PRIVATE KEY-----",
}
LIKELY = (
    "HF_TOKEN={}",
    "export AWS_SECRET_ACCESS_KEY='{}'",
    "environ({{'WANDB_API_KEY': '{}'}})",
    "MY_PASSWORD: {}",
    "Authorization: Bearer {}",
    "authorization: Basic {}",
    '{{"client_secret": "{}", "type": "x"}}',
)
# What looks a little like one.
HARMLESS = (
    "gs://bucket/folder@2020:latest/x",
    "http://host:8080/a@b",
    "git@github.com:owner/repository",
    "END_TOKEN = 1",
    "NUM_TARGET_TOKENS = 123456789",
    "tokens_per_s: 123456.7",
    "'token': 'a', 'tokenizer': 'spiece.model'",
    "ratio=3:4, a task-skill-of-more-than-twenty-letters",
    "The password of the wizard is a secret: tell no one.",
    "https://x/y?query=token&part=2",
    "sha256 " + "0123456789abcdef" * 4,
)


@pytest.fixture
def restored():
    """Puts logging and the crash printer back."""
    factory, hook = logging.getLogRecordFactory(), sys.excepthook
    yield
    logging.setLogRecordFactory(factory)
    sys.excepthook = hook


@pytest.mark.parametrize("kind", SECRETS)
def test_known_forms_are_hidden_and_the_rest_stays(kind):
    text = TEXTS[kind].format(SECRETS[kind])
    shown = redaction.redact(text)
    assert SECRETS[kind] not in shown and redaction.HIDDEN in shown
    before, after = TEXTS[kind].split("{}")
    assert shown.startswith(before) and shown.endswith(after)
    assert redaction.credential_in(text)
    assert redaction.credential_in(shown) is None and redaction.redact(shown) == shown


@pytest.mark.parametrize("text", LIKELY)
def test_variables_and_headers_that_say_what_they_are(text):
    shown = redaction.redact(text.format("d0ntt3llany0ne+/=x"))
    assert "d0ntt3ll" not in shown and shown != redaction.HIDDEN


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_credential_stays(text):
    assert redaction.redact(text) == text and redaction.credential_in(text) is None


@pytest.mark.parametrize("piece", ["a://", "x.", "A_", "a://b:", "'password':'", "TOKEN=", "eyJ"])
def test_long_texts_take_no_long_time(piece):
    # 100 kB: a pattern that goes back and forth would need minutes.
    redaction.redact(piece * (100_000 // len(piece)))


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("place", ["flag", "file"])
def test_a_configuration_with_a_credential_is_refused(kind, place, tmp_path):
    line = f"MODEL_DIR = {'gs://x ' + TEXTS[kind].format(SECRETS[kind])!r}"
    files, flags = ["models/tiny.gin", "runs/finetune.gin"], [line]
    if place == "file":
        (tmp_path / "x.gin").write_text(line)
        files, flags = [*files, str(tmp_path / "x.gin")], []
    with pytest.raises(ConfigError, match="which would be kept in files") as caught:
        gin_utils.parse(files, flags)
    assert SECRETS[kind] not in str(caught.value) and "MODEL_DIR" in str(caught.value)


def test_logs_of_any_library_are_hidden(restored, caplog):
    redaction.guard_output()
    with caplog.at_level(logging.INFO):
        logging.getLogger("some.library").warning("GET %s", TEXTS["password"].format("me:geheim"))
    assert "geheim" not in caplog.text and "https://[hidden]@host:8080/x" in caplog.text


@pytest.mark.parametrize("kind", ["DataError", "ValueError"])
def test_a_crash_and_a_message_of_the_command_are_hidden(kind):
    program = (
        "import sys; from flan_jax import cli, errors, report\n"
        "def fail(*_): raise getattr(errors, 'KIND', ValueError)('no https://me:geheim@host')\n"
        "report.write_report = fail; sys.argv = ['flan-jax', 'report', 'x']; sys.exit(cli.main())\n"
    )
    command = [sys.executable, "-c", program.replace("KIND", kind)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert found.returncode == (3 if kind == "DataError" else 1)
    assert "no https://[hidden]@host" in found.stderr
    assert ("Traceback" in found.stderr) == (kind == "ValueError")
    # The line of the program that a traceback quotes is not a file, so the text stands there once.
    assert "geheim" not in found.stderr


def test_last_words_are_hidden(tmp_path):
    words = last_words.LastWords(str(tmp_path))
    words.end(ValueError(TEXTS["password"].format("me:geheim")))
    (path,) = (tmp_path / last_words.FOLDER).glob("*.json")
    told = json.loads(path.read_text())
    assert "geheim" not in path.read_text() and "[hidden]@host" in told["message"]
    assert "[hidden]@host" in told["traceback"]


def test_the_report_hides_what_an_older_configuration_holds(tmp_path):
    writer = telemetry.MetricsWriter(tmp_path, tensorboard=False)
    writer.write("event", 1, 1.0, {"name": "x"})  # No plots, which take time.
    writer.close()
    (tmp_path / "config.gin").write_text(f"MODEL_DIR = '{TEXTS['password'].format('me:geheim')}'\n")
    text = report.write_report(tmp_path).read_text("utf-8")
    assert "geheim" not in text and "[hidden]@host" in text
