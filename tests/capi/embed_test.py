"""The programs of examples/embed, built against what is installed from this build, over examples/notes.
   embed_test.py BUILD_FOLDER c|cpp|python|gtk [--model]     with --model the questions, else the searches"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
NOTES = SOURCE / "examples/notes"
MODEL = Path.home() / ".cache/lectern/models/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
QUERY, FOUND_IN = "runner beans sown hazel poles", "garden/garden-diary.md"
QUESTION, SAYS = "What is the monthly rent of the workshop in Mill Lane?", "940"


def skip(why):
    print("SKIPPED: " + why)
    sys.exit(0)


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=800, **options)
    if done.returncode != 0:
        sys.exit(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def install(build, prefix):
    for component in ("library", "development"):
        run("cmake", "--install", build, "--prefix", prefix, "--component", component)
    libraries = next(prefix.glob("lib/**/liblectern.so")).parent
    return {**os.environ, "PKG_CONFIG_PATH": str(libraries / "pkgconfig"), "CMAKE_PREFIX_PATH": str(prefix),
            "LD_LIBRARY_PATH": str(libraries), "XDG_DATA_HOME": str(prefix / "data")}


def build_example(name, folder, environment):
    """The command that runs it."""
    if name == "python":
        return [sys.executable, folder / "ask.py"]
    if name == "cpp":
        run("cmake", "-S", folder, "-B", folder / "build", env=environment)
        run("cmake", "--build", folder / "build", env=environment)
        return [folder / "build/ask"]
    run("make", "-C", folder, env={**environment, "CFLAGS": "-Werror"})
    return [folder / {"c": "ask", "gtk": "notes"}[name]]


def in_a_screen(command):
    # Software rendering: there is no graphics card, and no desktop to speak to.
    return ["xvfb-run", "-a", "-s", "-screen 0 1280x900x24", "env", "GSK_RENDERER=cairo", "GTK_A11Y=none", "G_DEBUG=fatal-criticals", *command]


def test_ask(command, environment, model):
    if model:
        out = run(*command, NOTES, QUESTION, MODEL, env=environment)
        assert SAYS in out and "[1]" in out, out
    else:
        out = run(*command, "--search", NOTES, QUERY, env=environment)
        assert FOUND_IN in out.splitlines()[0], out
    refused = subprocess.run([str(part) for part in [*command, "/no/such/folder", QUESTION]], capture_output=True,
                             text=True, env=environment, check=False)
    assert refused.returncode == 1 and "/no/such/folder: no such file or folder" in refused.stderr, refused


def test_window(command, environment, model, folder):
    picture = folder / "window.png"
    question = ["--model", MODEL, "--ask", QUESTION] if model else []
    out = run(*in_a_screen([*command, "--self-test", "--query", QUERY, "--screenshot", picture, *question, NOTES]),
              env=environment)
    assert "self-test: ok" in out, out
    assert picture.read_bytes().startswith(b"\x89PNG"), "no picture of the window"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("build", type=Path)
    arguments.add_argument("example")
    arguments.add_argument("--model", action="store_true")
    wanted = arguments.parse_args()
    if wanted.model and not MODEL.exists():
        skip("the 0.5B model is not here; lectern pull qwen2.5-coder-0.5b-instruct")
    if wanted.example != "python" and shutil.which("pkg-config") is None:
        skip("pkg-config is not installed")
    if wanted.example == "gtk":
        if subprocess.run(["pkg-config", "--exists", "gtk4"], check=False).returncode != 0:
            skip("GTK 4 is not installed (libgtk-4-dev)")
        if shutil.which("xvfb-run") is None:
            skip("xvfb is not installed")
    with tempfile.TemporaryDirectory(prefix="lectern-embed-") as place:
        folder = Path(place) / "example"
        shutil.copytree(SOURCE / "examples/embed" / wanted.example, folder)
        environment = install(wanted.build, Path(place) / "prefix")
        command = build_example(wanted.example, folder, environment)
        if wanted.example == "gtk":
            test_window(command, environment, wanted.model, folder)
        else:
            test_ask(command, environment, wanted.model)


if __name__ == "__main__":
    main()
