"""The Debian packages that CPack makes: what is in them, what lintian says, and that what they install works when it is
only unpacked.   package_test.py BUILD_FOLDER"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BUILD = Path(sys.argv.pop(1)).resolve()
PACKAGES = ["lectern", "liblectern0", "liblectern-dev"]


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="lectern-package-")
        cls.root = Path(cls.folder.name) / "root"
        made = run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", cls.folder.name)
        if made.returncode != 0:
            raise RuntimeError(made.stdout + made.stderr)
        cls.debs = sorted(Path(cls.folder.name).glob("*.deb"))
        for deb in cls.debs:
            run("dpkg-deb", "--extract", deb, cls.root, check=True)
        cls.lectern = cls.root / "usr/bin/lectern"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def deb(self, package):
        return next(deb for deb in self.debs if deb.name.startswith(package + "_"))

    def field(self, package, name):
        return run("dpkg-deb", "--field", self.deb(package), name, check=True).stdout.strip()

    def test_there_is_one_package_for_each_use(self):
        self.assertEqual(sorted(self.field(deb.name.split("_")[0], "Package") for deb in self.debs), sorted(PACKAGES))

    def test_dependencies_are_those_of_the_binaries(self):
        for package in ("lectern", "liblectern0"):
            for library in ("libc6", "libsqlite3-0", "libicu72"):
                self.assertIn(library, self.field(package, "Depends"), package)
        self.assertIn("liblectern0 (= ", self.field("liblectern-dev", "Depends"))
        self.assertIn("python3-pip", self.field("lectern", "Recommends"))  # lectern pull

    def test_lintian_has_nothing_to_say(self):
        # Not sent to the Debian archive, so no bug number closes in the changelog.
        found = run("lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags",
                    "initial-upload-closes-no-bugs", *self.debs)
        self.assertEqual(found.returncode, 0, found.stdout + found.stderr)

    def test_the_program_works(self):
        self.assertRegex(run(self.lectern, "--version", check=True).stdout, r"^lectern \d+\.\d+\.\d+$")
        with tempfile.TemporaryDirectory() as home:
            notes = Path(home) / "notes"
            notes.mkdir()
            (notes / "beans.md").write_text("# Garden\n\nThe runner beans were sown on the third of May.\n")
            found = run(self.lectern, "search", notes, "runner beans", env={**os.environ, "HOME": home,
                        "XDG_DATA_HOME": home, "XDG_CACHE_HOME": home})
            self.assertEqual(found.returncode, 0, found.stderr)
            self.assertIn("third of May", found.stdout)

    def test_the_manual_page_is_good_roff_and_names_every_command(self):
        page = self.root / "usr/share/man/man1/lectern.1.gz"
        shown = run("man", "--warnings", "-Tutf8", "-l", page,
                    env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": ""})
        self.assertEqual(shown.stderr, "")
        text = re.sub(".\x08", "", shown.stdout)  # bold letters are struck twice
        for words in ("lectern ask notes", "eval multihop", "--api-key-file", "EXIT STATUS"):
            self.assertTrue(words in text, words)

    def test_completions(self):
        bash = self.root / "usr/share/bash-completion/completions/lectern"
        words = run("bash", "-c", f"source {bash}; COMP_WORDS=(lectern pull --so); COMP_CWORD=2; _lectern_words; "
                    "echo ${COMPREPLY[*]}")
        self.assertEqual(words.stdout, "--source\n")
        self.assertTrue((self.root / "usr/share/zsh/vendor-completions/_lectern").read_text()
                        .startswith("#compdef lectern\n"))
        self.assertIn("complete -c lectern",
                      (self.root / "usr/share/fish/vendor_completions.d/lectern.fish").read_text())

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_the_service_is_a_good_unit(self):
        unit = self.root / "lectern.service"
        text = (self.root / "usr/lib/systemd/user/lectern.service").read_text()
        unit.write_text(text.replace("/usr/bin/lectern", str(self.lectern)))
        checked = run("systemd-analyze", "--user", "--man=no", "verify", unit,
                      env={**os.environ, "XDG_RUNTIME_DIR": self.folder.name})
        said = [line for line in checked.stderr.splitlines() if "lectern.service" in line]
        self.assertEqual(said, [])


if __name__ == "__main__":
    for tool in ("cpack", "dpkg-deb", "dpkg-shlibdeps", "lintian", "man"):
        if not shutil.which(tool):
            print(f"SKIPPED: {tool} is not installed")
            sys.exit(0)
    unittest.main(verbosity=2)
