"""``ttorm secret``: what is claimed and rotated is shown or stored once, and never lost."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

import ttorm
from ttorm import Role, Secret, UnauthorizedError, User


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'fleet.db'}"


@pytest.fixture
def ann(url):
    with ttorm.connect(url, default=False) as admin, ttorm.session(admin):
        yield User.create(role=Role.create(name="Guest"), name="Ann")


@pytest.fixture
def run(url):
    """Run ``ttorm secret ...``; returns what it says."""

    def run(*arguments, typed=None, **environment):
        command = [sys.executable, "-m", "ttorm", "secret", *map(str, arguments)]
        inherited = {name: text for name, text in os.environ.items() if "TTORM" not in name}
        return subprocess.run(
            command,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            env={**inherited, "TTORM_URL": url, **environment},
        )

    return run


def who(url, secret):
    with ttorm.connect(url, secret=secret, default=False) as connection:
        return connection.whoami()["user"]


def test_claim(run, url, ann):
    invitation = ann.invite()
    done = run("claim", invitation.account, "--pin", "-", typed=f"{invitation.pin.reveal()}\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert who(url, done.stdout.strip()) == ann.uuid
    again = run("claim", invitation.account, TTORM_PIN=invitation.pin.reveal())
    assert (again.returncode, again.stdout) == (1, "")
    assert "[not-found]" in again.stderr
    assert invitation.pin.reveal() not in again.stderr


def test_a_pin_of_the_environment_is_not_asked_for(run, url, ann):
    invitation = ann.invite()
    done = run("claim", invitation.account, TTORM_PIN=invitation.pin.reveal())
    assert (done.returncode, done.stderr) == (0, "")
    assert who(url, done.stdout.strip()) == ann.uuid


def test_a_pin_among_the_arguments_is_taken_and_warned_of(run, url, ann):
    invitation = ann.invite()
    done = run("claim", invitation.account, "--pin", invitation.pin.reveal())
    assert who(url, done.stdout.strip()) == ann.uuid
    assert "--pin -" in done.stderr
    assert invitation.pin.reveal() not in done.stderr


def test_claim_into_a_file(run, url, ann, tmp_path):
    invitation, file = ann.invite(), tmp_path / "secret"
    done = run("claim", invitation.account, "--to", file, TTORM_PIN=invitation.pin.reveal())
    assert (done.returncode, done.stdout) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert who(url, file.read_text().strip()) == ann.uuid
    assert not list(tmp_path.glob(".secret*"))


@pytest.mark.parametrize("place", ["there", "nowhere/secret"])
def test_where_nothing_can_be_stored_nothing_is_claimed(run, url, ann, tmp_path, place):
    (tmp_path / "there").write_text("mine")
    invitation = ann.invite()
    options = ["--to", tmp_path / place]
    pin = invitation.pin.reveal()
    assert run("claim", invitation.account, *options, TTORM_PIN=pin).returncode == 1
    assert (tmp_path / "there").read_text() == "mine"
    secret = ttorm.claim(invitation.account, invitation.pin, url=url)
    assert who(url, secret) == ann.uuid


def test_rotate(run, url, ann, tmp_path):
    invitation, file = ann.invite(), tmp_path / "secret"
    old = ttorm.claim(invitation.account, invitation.pin, url=url)
    file.write_text(f"{old.reveal()}\n")
    done = run("rotate", "--days", 90, "--to", file, TTORM_SECRET=old.reveal())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    new = Secret(file.read_text().strip())
    assert who(url, new) == ann.uuid != old
    with pytest.raises(UnauthorizedError):
        who(url, old)
    ann.secret.load()
    assert ann.secret.valid_until is not None
    shown = run("rotate", TTORM_SECRET=new.reveal()).stdout.strip()
    assert who(url, shown) == ann.uuid


def test_where_nothing_can_be_stored_nothing_is_rotated(run, url, ann, tmp_path):
    invitation = ann.invite()
    old = ttorm.claim(invitation.account, invitation.pin, url=url)
    done = run("rotate", "--to", tmp_path / "nowhere" / "secret", TTORM_SECRET=old.reveal())
    assert done.returncode == 1
    assert who(url, old) == ann.uuid


def test_what_cannot_be_stored_after_all_is_shown(run, url, ann, tmp_path):
    """The place turned bad between its opening and the exchange: a folder stands there."""
    invitation = ann.invite()
    old = ttorm.claim(invitation.account, invitation.pin, url=url)
    (tmp_path / "secret").mkdir()
    code = (
        "from pathlib import Path; from ttorm.cli import secrets;"
        f"secrets.rotate(url=None, days=None, to=Path({str(tmp_path / 'secret')!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TTORM_URL": url, "TTORM_SECRET": old.reveal()},
    )
    assert done.returncode == 1
    assert "SecretNotStoredError" in done.stderr
    assert who(url, done.stdout.strip()) == ann.uuid
