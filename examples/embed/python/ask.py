"""Asks the documents of a folder, and streams the answer with its citations.
    python3 ask.py ../../notes "When were the runner beans sown?"
With --search in front it lists the best passages instead, which needs no model."""
import argparse
import sys

import lectern_ctypes as lectern


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--search", action="store_true")
    arguments.add_argument("folder")
    arguments.add_argument("question")
    arguments.add_argument("model", nargs="?")
    wanted = arguments.parse_args()
    with lectern.Collection(wanted.folder) as collection:
        collection.index()
        if wanted.search:
            for hit in collection.search(wanted.question):
                print(f"{hit['score']:6.2f}  {hit['path']}:{hit['line']}  {hit['heading']}")
            return
        with lectern.Model(wanted.model) as model:
            answer = model.ask(collection, wanted.question, on_text=lambda text: print(text, end="", flush=True))
            print("\n")
            for citation in answer["citations"]:
                print(f"[{citation['number']}] {citation['path']}, line {citation['line']}: \"{citation['quote']}\"")


if __name__ == "__main__":
    try:
        main()
    except lectern.LecternError as error:
        sys.exit(f"ask.py: {error}")
