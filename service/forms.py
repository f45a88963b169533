"""Bodies of files: a multipart form read into words and files, and checked against the parts a reader knows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from models.core import InvalidInput, Issue, canonical_json, pointer
from service.errors import ApiError, field_error
from service.requests import check_encoding


@dataclass(frozen=True)
class Form:
    """A multipart body: words by field, files by part; each name once."""

    words: Mapping[str, str]
    files: Mapping[str, bytes]

    @property
    def content(self) -> bytes:
        """The form's content, the same for equal forms whatever boundary a client chose."""
        files = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        return canonical_json({"words": dict(self.words), "files": files})


async def read_form(request: Request, max_parts: int = 20) -> Form:
    """The multipart body of a request.

    ApiError 415 for another media type, 400 for one that cannot be read, 422 for a part named twice or a word that is
    not UTF-8. Files are read into memory, which the body's limit bounds; nothing of them reaches the disk by name.
    """
    check_encoding(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        detail = "Send the files as `Content-Type: multipart/form-data`, as `curl -F` does."
        raise ApiError("unsupported-media-type", detail, headers={"Accept": "multipart/form-data"})
    await request.body()
    try:
        parts = await request.form(max_files=max_parts, max_fields=max_parts)
    except (MultiPartException, HTTPException) as error:
        raise ApiError("bad-request", f"The multipart body cannot be read: {error}.") from None
    except (UnicodeDecodeError, LookupError):
        raise ApiError("bad-request", "The multipart body is not UTF-8.") from None
    words: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for name, part in parts.multi_items():
        if name in words or name in files:
            raise field_error(pointer(name), "is given twice")
        if isinstance(part, UploadFile):
            files[name] = await part.read()
        else:
            words[name] = part
    await parts.close()
    return Form(words, files)


def check_parts(
    reader: str, known_files: Mapping[str, str], known_words: Mapping[str, str], form: Form, own: tuple[str, ...] = ()
) -> dict[str, str]:
    """The form's words but `own`, once every file and word is one the reader knows and no required file is missing.

    A known file whose name ends in "?" may be missing. `InvalidInput` names every part that does not fit.
    """
    known = {name.removesuffix("?") for name in known_files}
    takes, options = ", ".join(sorted(known)) or "none", ", ".join(sorted(known_words)) or "none"
    words = {name: word for name, word in form.words.items() if name not in own}
    issues = [
        Issue("unknown_part", "error", pointer(name), f"files of {reader}: {takes}")
        for name in form.files
        if name not in known
    ]
    issues += [
        Issue("missing", "error", pointer(name), f"is missing: {meaning}")
        for name, meaning in known_files.items()
        if not name.endswith("?") and name not in form.files
    ]
    issues += [
        Issue("unknown_option", "error", pointer(name), f"options of {reader}: {options}; send files as files")
        for name in words
        if name not in known_words
    ]
    if issues:
        raise InvalidInput(issues)
    return words
