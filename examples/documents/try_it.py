"""Read a document of forty pages."""

from __future__ import annotations

from pathlib import Path

from documents import PAGE, app, read_document

document = Path("document.txt").resolve()
document.write_text(PAGE.join(f"page {number} says pears and plums" for number in range(40)))

words = read_document.options(idempotency_key="document-1").submit(str(document)).wait(60)
assert words["pears"] == 40, words
pages = app.jobs.count(by="task")["documents.read_page"]
assert pages == 40, pages
print(f"{sum(words.values())} words on {pages} pages")
