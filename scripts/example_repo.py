"""Make a git repository of the example agent, with the SDK vendored, and commit its releases one by one.

python scripts/example_repo.py DIRECTORY [1.0.0 | 1.1.0 | 1.2.0]
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "logship"
RELEASES = {
    "1.0.0": "Ship log lines to a sink",
    "1.1.0": "Tell the uptime in GET /",
    "1.2.0": "Count requests by lane",
}
# Commits must not depend on who runs this: no personal configuration, no signing, no hooks.
GIT = ("-c", "user.name=Tidegate example", "-c", "user.email=example@example.org", "-c", "commit.gpgsign=false")


def git(repository: Path, *arguments: str) -> str:
    """Run git in the repository and give its output; raises RuntimeError with what git said."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", *GIT, *arguments]
    done = subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def make(directory: Path) -> str:
    """Create the repository at 1.0.0, branch main; gives the commit. The directory must not exist or be empty."""
    if directory.exists() and any(directory.iterdir()):
        raise RuntimeError(f"{directory} is not empty: give another one, or remove it")
    leave_out = shutil.ignore_patterns("__pycache__", "releases", "*.pyc")
    shutil.copytree(EXAMPLE, directory, ignore=leave_out, dirs_exist_ok=True)
    sdk = directory / "vendor" / "tidegate"
    shutil.copytree(ROOT / "src" / "tidegate" / "sdk", sdk / "sdk", ignore=leave_out)
    (sdk / "__init__.py").write_text('"""Only the SDK of Tidegate, vendored."""\n', encoding="utf-8")
    (directory / ".gitignore").write_text("__pycache__/\n", encoding="utf-8")
    git(directory, "init", "-q", "-b", "main")
    return _commit(directory, "1.0.0")


def release(repository: Path, version: str) -> str:
    """Apply and commit the next release; gives the commit."""
    git(repository, "apply", "--index", str(EXAMPLE / "releases" / f"{version}.patch"))
    return _commit(repository, version)


def _commit(repository: Path, version: str) -> str:
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", f"{version}: {RELEASES[version]}")
    return git(repository, "rev-parse", "HEAD")


def main() -> int:
    """Make the repository up to the version that was asked for."""
    if len(sys.argv) not in (2, 3) or (wanted := (sys.argv[2:] or ["1.0.0"])[0]) not in RELEASES:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        repository = Path(sys.argv[1])
        commit = make(repository)
        versions = list(RELEASES)
        for version in versions[1 : versions.index(wanted) + 1]:
            commit = release(repository, version)
    except (OSError, RuntimeError) as problem:
        print(f"example_repo: {problem}", file=sys.stderr)
        return 1
    print(commit)
    return 0


if __name__ == "__main__":
    sys.exit(main())
