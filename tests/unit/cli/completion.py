#!/usr/bin/env python3
"""Completion by real shells, held against --help: completion.py PROGRAM bash|zsh. Ends with
77, which is skipped, where there is no such shell."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

PROGRAM, SHELL = os.path.abspath(sys.argv[1]), sys.argv[2]
TOP = tempfile.mkdtemp(prefix="rf-completion-")
FAILED = []
ZSHELL = []  # one, for all questions: it takes seconds to begin

BASH = r"""
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_ringfence
printf '%s\n' "${COMPREPLY[@]}"
"""

# What the completion system is offered, and no more: compadd tells instead of adding.
ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=; stty -echo; unsetopt zle_bracketed_paste 2>/dev/null'
zpty -w shell 'autoload -Uz compinit; compinit -u -D; source '"$1"
zpty -w shell 'compadd() { local -a got; builtin compadd -O got "$@"; print -rl -- \
    "${(@)got/#/@}"; }'
zpty -w shell 'zstyle ":completion:*" list-grouped no; bindkey "^I" complete-word; PS1=RE''ADY'
line=
# Its prompt: from here on it reads keys, and not lines.
zpty -r -m shell line '*READY*'
while IFS= read -r asked; do
    zpty -w -n shell "$asked"$'\t'
    zpty -w -n shell $'\C-U'"print DO''NE"$'\n'
    zpty -r -m shell line '*DONE*'
    print -r -- "$line"
    zpty -r -m shell line '*READY*'
    print END
done
zpty -d shell
"""


def script():
    path = os.path.join(TOP, "completion")
    with open(path, "w", encoding="utf-8") as f:
        subprocess.run([PROGRAM, "completion", SHELL], stdout=f, check=True)
    subprocess.run([SHELL, "-n", path], check=True)
    return path


def ask(path, *words):
    if SHELL == "bash":
        said = subprocess.run(["bash", "-c", BASH, "bash", path, *words], cwd=TOP, text=True,
                              stdout=subprocess.PIPE, check=True).stdout
        return set(said.split())
    if not ZSHELL:
        ZSHELL.append(subprocess.Popen(["zsh", "-f", "-c", ZSH, "zsh", path], cwd=TOP, text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    ZSHELL[0].stdin.write(" ".join(words) + "\n")
    ZSHELL[0].stdin.flush()
    said = ""
    while not said.endswith("END\n"):
        line = ZSHELL[0].stdout.readline()
        assert line, said
        said += line
    return set(re.findall(r"@([\w./-]+)", said))


def check(what, got, wanted):
    if got == wanted:
        print(f"ok: {what}")
        return
    FAILED.append(what)
    print(f"FAILED: {what}: lacks {sorted(wanted - got)}, has {sorted(got - wanted)}")


def helped(*words):
    return subprocess.run([PROGRAM, *words, "--help"], text=True, stdout=subprocess.PIPE,
                          check=True).stdout


def options_of(text):
    return set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", text, re.M))


def commands():
    """Names of one word, and of two."""
    listed = helped().split("commands:\n")[1].split("\n\n")[0]
    names = []
    for line in re.findall(r"^  ([a-z].*)", listed, re.M):
        one = re.match(r"[a-z]+", line)[0]
        two = re.match(r"[a-z]+ [a-z]+(?=[ \n]|$)", line)
        family = f"usage:\nringfence {one} " in subprocess.run(
            [PROGRAM, one, "--help"], text=True, stdout=subprocess.PIPE, check=False).stdout
        names.append(two[0] if family else one)
    return names


def main():
    path = script()
    names = commands()
    assert "pki issue" in names and "status" in names and len(names) > 40, names
    everywhere = options_of(helped())
    check("commands", ask(path, "ringfence", ""), {n.split()[0] for n in names})
    check("a beginning", ask(path, "ringfence", "sw"), {"switchover"})
    check("options in front", ask(path, "ringfence", "--"), everywhere)
    for family in {n.split()[0] for n in names if " " in n}:
        check(family, ask(path, "ringfence", family, ""),
              {n.split()[1] for n in names if n.startswith(family + " ")})
    for name in names if SHELL == "bash" else ("status", "pki issue", "switchover", "user add"):
        check(f"options of {name}", ask(path, "ringfence", *name.split(), "--"),
              options_of(helped(*name.split())) | everywhere)
    check("behind an option and its argument",
          ask(path, "ringfence", "--profile", "pki", "audit", ""), {"export", "verify", "keys"})
    check("what an operand may be", ask(path, "ringfence", "completion", ""), {"bash", "zsh"})
    check("a kind of node", ask(path, "ringfence", "pki", "issue", "a"), {"agent"})
    check("no guess at a name", ask(path, "ringfence", "--profile", ""), set())
    for name in ("one.yaml", "two.yaml"):
        with open(os.path.join(TOP, name), "w", encoding="ascii"):
            pass
    check("files", ask(path, "ringfence", "apply", "-f", "o"), {"one.yaml"})
    check("a file's operand", ask(path, "ringfence", "audit", "verify", "tw"), {"two.yaml"})
    os.mkdir(os.path.join(TOP, "onedir"))
    # zsh goes on to other files where no directory was added, and here none ever is.
    offered = {w.rstrip("/") for w in ask(path, "ringfence", "pki", "show", "--dir", "o")}
    check("directories", offered - ({"one.yaml"} if SHELL == "zsh" else set()), {"onedir"})


if not shutil.which(SHELL):
    print(f"there is no {SHELL}")
    sys.exit(77)
main()
shutil.rmtree(TOP)
print(f"{len(FAILED)} failed")
sys.exit(1 if FAILED else 0)
