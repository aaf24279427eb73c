"""Every dialogue in ``transcripts/*.txt``, word for word; ``transcripts/kit.py`` explains the language."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.postgres.transcripts.kit import Transcript, transcripts

ALL = transcripts(Path(__file__).with_name("transcripts"))


@pytest.mark.parametrize("transcript", ALL, ids=[f"{one.place} {one.title}" for one in ALL])
def test_it_goes_as_written(transcript: Transcript) -> None:
    transcript.run()
