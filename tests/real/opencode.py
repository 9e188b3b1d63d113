"""Judges a real OpenCode server from npm, whose model is the scripted one. Everything stays on loopback.

    python -m tests.real.opencode             install (once), start, judge, stop; the report is kept
    python -m tests.real.opencode --runs 10   the same ten times, and how often each verdict was given
    python -m tests.real.opencode --serve     start, print the URLs, run until killed

Exit status: 0 when a report was made, also where requirements fail (the report says so; `--strict-exit`
passes pytest's status on); else pytest's own (2 to 6), or 3 where the server could not be had. Arguments
after `--` go to pytest.
"""

from __future__ import annotations

import base64
import json
import platform
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType

from tests.real.runner import MODEL, ROOT, NotForThisMachine, Server, SetupError, main, output_of

_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
ORIGIN = "https://sse-conformance.example"


def basic(user: str, password: str) -> str:
    """The value of an Authorization header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


class OpenCode(Server):
    """opencode-ai 1.18.33: one executable, in a package of its own for each platform."""

    name = "opencode-ai"
    version = "1.18.33"
    short = "opencode"
    protocol = "opencode/1"
    health = "/global/health"
    profile = ROOT / "conformance" / "profiles" / "opencode-1.18.toml"
    # Guarded, and open to one page: so that this is judged, too.
    password = secrets.token_hex(12)
    headers = MappingProxyType({"Authorization": basic("opencode", password)})
    capabilities = MappingProxyType({"auth": "basic", "cors": [ORIGIN]})

    @property
    def binary(self) -> Path:
        """The executable."""
        return self.home / "node_modules" / platform_package() / "bin" / "opencode"

    def install(self) -> None:
        """Fetch the platform's package, unless it is there. No install script runs."""
        if self.installed() == self.version:
            return
        npm = shutil.which("npm")
        if npm is None:
            raise SetupError("OpenCode is installed with npm, and there is none: install Node.js and npm")
        package = f"{platform_package()}@{self.version}"
        print(f"installing {package} into {self.home} (180 MB)", flush=True)
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        step = [npm, "install", "--prefix", str(self.home), "--ignore-scripts", "--no-audit", "--no-fund"]
        step += ["--silent", "--no-save", package]
        if subprocess.run(step, check=False).returncode != 0:
            raise SetupError(f"this failed: {' '.join(step)}")
        if self.installed() != self.version:
            raise SetupError(f"{self.binary} does not say that it is {self.version}")

    def installed(self) -> str | None:
        """The version that the executable says it has, or None."""
        return output_of([str(self.binary), "--version"])

    def describe(self) -> str:
        """Its version, and the package that was right for this machine."""
        return f"{self.name} {self.installed()} ({platform_package()})"

    def command(self, url: str) -> list[str]:
        """Its server without a terminal."""
        host, _, port = url.removeprefix("http://").partition(":")
        return [str(self.binary), "serve", "--hostname", host, "--port", port, "--cors", ORIGIN]

    def environment(self, scratch: Path, workspace: Path, url: str, model_url: str) -> dict[str, str]:
        """Everything that would ask the network is off; the scripted model is the only provider."""
        folders = {
            name: str(scratch / "home" / name.removeprefix("XDG_").removesuffix("_HOME").lower())
            for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
        }
        off = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "SHARE", "DEFAULT_PLUGINS")
        return {
            **folders,
            **{f"OPENCODE_DISABLE_{name}": "1" for name in off},
            "OPENCODE_PURE": "1",
            "OPENCODE_SERVER_PASSWORD": self.password,
            "OPENCODE_CONFIG_CONTENT": json.dumps(configuration(model_url)),
        }


def configuration(model_url: str) -> dict[str, object]:
    """What a user would write into opencode.json to have the scripted model answer."""
    return {
        "provider": {
            MODEL: {
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": f"{model_url}/v1", "apiKey": "none"},
                "models": {MODEL: {"tool_call": True, "reasoning": True}},
            }
        },
        "model": f"{MODEL}/{MODEL}",
        "small_model": f"{MODEL}/{MODEL}",
        "permission": "allow",
        "snapshot": False,
        "autoupdate": False,
        "share": "disabled",
    }


def platform_package() -> str:
    """The npm package with the executable for this machine. Raises `NotForThisMachine` where there is none."""
    system, machine = platform.system().lower(), platform.machine().lower()
    architecture = _ARCHITECTURES.get(machine)
    if system not in ("linux", "darwin") or architecture is None:
        raise NotForThisMachine(f"there is no OpenCode for {system} on {machine}")
    name = f"opencode-{system}-{architecture}"
    if system == "linux" and architecture == "x64" and "avx2" not in cpu_flags():
        name += "-baseline"
    return name


def cpu_flags() -> frozenset[str]:
    """What the processor can do, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(word for line in lines if line.startswith("flags") for word in line.split())


if __name__ == "__main__":
    sys.exit(main(OpenCode(), __doc__ or ""))
