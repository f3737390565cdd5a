"""What the README shows works as it is written there."""

import json
import re
import subprocess

from indexer.cli import cli
from tests.helpers.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    """Return the fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_curl_commands_answer_200_with_json(server):
    """Each command runs as it stands, with its host and its picture put in."""
    commands = [line for block in blocks("sh") for line in block.splitlines() if "curl " in line]
    assert len(commands) >= 3
    for command in commands:
        real = command.replace("http://127.0.0.1:8000", server.url)
        real = real.replace("QUERY.jpg", str(server.collection.pictures / "003.png"))

        ended = subprocess.run(
            ["bash", "-c", real + " --fail -sS"], capture_output=True, check=False, text=True
        )

        assert ended.returncode == 0, f"{command}: {ended.stderr}"
        assert json.loads(ended.stdout)


def test_the_answer_shown_has_the_fields_of_a_real_one(server):
    """The example in the README names what the API gives, and nothing else."""
    command = f"curl -sS -F image=@{server.collection.pictures}/003.png {server.url}/api/v1/search"
    real = json.loads(subprocess.check_output(["bash", "-c", command]))
    (shown,) = (json.loads(block) for block in blocks("json"))

    assert shown.keys() == real.keys()
    assert shown["results"][0].keys() == real["results"][0].keys()


def test_every_command_shown_exists():
    """A `bin/lookalike NAME` in the README is a command of the command line."""
    named = set(re.findall(r"bin/lookalike (\w+)", README))

    assert {"build", "search", "verify"} <= named
    assert named <= set(cli.commands)
