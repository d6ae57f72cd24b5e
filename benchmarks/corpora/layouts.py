"""Where five kinds of corpora keep their sounds, references and speakers.

A layout reads a folder into rows and judges none of them: `corpus.py` does. Sources of the
layouts: Common Voice's release TSVs; google/fleurs `data/te_in`; AI4Bharat's IndicVoices
(`scripts/utils_dataset_create_iv_flac.py` reads its raw files) and IndicSUPERB (Kathbath). Copies
of any of them in Parquet, as dataset hubs serve them, are read where pyarrow is installed. Knows
nothing of samples.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from benchmarks.corpora.tables import (
    DatasetError,
    Row,
    broken,
    json_lines,
    keyed,
    parquet,
    parquet_files,
    read,
    split_file,
    table_rows,
)

SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".opus")


def folder(path: Path, split: str = "") -> list[Row]:
    """`manifest.jsonl`, `metadata.csv` (with a header, or `id|text` as LJ Speech writes), or
    sounds with a text file of the same name. Without a speaker, a subfolder's name stands for one.
    """
    if (path / "manifest.jsonl").is_file():
        return list(keyed(json_lines(path / "manifest.jsonl"), path))
    if (path / "metadata.csv").is_file():
        return list(_metadata(path / "metadata.csv"))
    rows = []
    for sound in sorted(p for p in path.rglob("*") if p.suffix.lower() in SOUNDS):
        text = sound.with_suffix(".txt")
        said = read(text) if text.is_file() else ""
        rows.append(Row(_stem(sound, path), sound, said, _parent(sound, path)))
    return rows


def common_voice(path: Path, split: str) -> list[Row]:
    """`SPLIT.tsv` beside `clips/`, columns client_id, path, sentence."""
    listing = split_file(path, split, ".tsv")
    rows = []
    for values in table_rows(listing, "\t"):
        clip = values.get("path") or ""
        name = clip if Path(clip).suffix else f"{clip}.mp3"  # older releases leave the ending out
        speaker = values.get("client_id") or clip
        rows.append(
            Row(Path(clip).stem, path / "clips" / name, values.get("sentence") or "", speaker)
        )
    return rows


def fleurs(path: Path, split: str) -> list[Row]:
    """`SPLIT.tsv` without a header: id, file, raw text, text, letters, samples, gender.

    Sounds lie in `audio/SPLIT/` or `SPLIT/`. There are no speakers; readings of one sentence carry
    its id, and it groups them.
    """
    listing = split_file(path, split, ".tsv")
    homes = [path / "audio" / split, path / split, path / "audio"]
    home = next((h for h in homes if any(h.glob("*.wav"))), None)
    if home is None:
        archive = next(path.rglob(f"{split}.tar.gz"), None)
        remedy = f"unpack {archive}" if archive else f"expected them in {homes[0]}"
        raise DatasetError(f"{path}: no sounds of {split!r}; {remedy}")
    rows = []
    for number, line in enumerate(read(listing).splitlines(), 1):
        fields = line.split("\t")
        if len(fields) < 4:
            rows.append(broken(f"line {number} of {listing.name}", "has fewer than 4 columns"))
            continue
        rows.append(Row(Path(fields[1]).stem, home / fields[1], fields[3], f"sentence-{fields[0]}"))
    return rows


def indicvoices(path: Path, split: str) -> Iterable[Row]:
    """Raw recordings with a JSON of segments each, manifests of cut segments, or Parquet.

    Of raw conversations, segments of speaker 1 (who asks the questions) are left out, as the
    corpus's own scripts do.
    """
    if files := parquet_files(path, split):
        return parquet(files, path)
    rows: list[Row] = []
    for file in sorted(path.rglob("*.json")):
        if split not in file.relative_to(path).parts and split != path.name:
            continue
        try:
            rows += _segments(file, path)
        except (ValueError, TypeError, KeyError, AttributeError) as e:
            rows.append(broken(_stem(file, path), f"its JSON cannot be read ({e})"))
    return rows


def kathbath(path: Path, split: str) -> Iterable[Row]:
    """`telugu/SPLIT/transcription_n2w.txt` (file, tab, text) beside `audio/`, or Parquet.

    Files are named SENTENCE-SPEAKER-GENDER. They are released as m4a, which libsndfile does not
    read: converted copies (.wav or .flac of the same name) are taken.
    """
    if files := parquet_files(path, split):
        return parquet(files, path)
    homes = [path / "telugu" / split, path / split, path]
    home = next((h for h in homes if (h / "transcription_n2w.txt").is_file()), None)
    if home is None:
        raise DatasetError(f"{path}: no telugu/{split}/transcription_n2w.txt; unpack transcripts")
    rows = []
    for line in filter(str.strip, read(home / "transcription_n2w.txt").splitlines()):
        name, _, text = line.partition("\t")
        found = _converted(home / "audio" / name.strip())
        problem = ""
        if found.suffix.lower() not in SOUNDS:
            problem = f"{found.name} cannot be read; convert it: ffmpeg -i X.m4a -ar 16000 X.wav"
        parts = found.stem.split("-")
        speaker = parts[1] if len(parts) == 3 else found.stem
        rows.append(Row(found.stem, found, text, speaker, problem=problem))
    return rows


Layout = Callable[[Path, str], Iterable[Row]]
LAYOUTS: dict[str, Layout] = {
    "folder": folder,
    "common-voice": common_voice,
    "fleurs": fleurs,
    "indicvoices": indicvoices,
    "kathbath": kathbath,
}


def suggested(path: Path) -> str:
    """What to try instead, for a sentence about a folder in which nothing was found."""
    tables = ", ".join(sorted(p.name for p in path.glob("*.tsv"))[:5])
    return f"; it holds {tables}" if tables else "; see `maata bench --help` for the layouts"


def _segments(file: Path, root: Path) -> list[Row]:
    text = read(file)
    first = json.loads(text.splitlines()[0] if "\n{" in text.strip() else text)
    if "audio_filepath" in first:  # a manifest: one cut segment a line
        return list(keyed(json_lines(file), file.parent))
    if "verbatim" not in first:
        return []
    sounds = [file.with_suffix(s) for s in SOUNDS]
    sound = next((s for s in sounds if s.is_file()), sounds[0])
    written = first.get("normalized") or first["verbatim"]
    rows = []
    pairs = zip(first["verbatim"], written, strict=False)
    for number, (said, normal) in enumerate(pairs, 1):
        if said.get("speaker_id") == 1:
            continue
        span = float(said["start"]), float(said["end"])
        name = f"{_stem(file, root)}#{number}"
        speaker = str(first.get("speaker_id") or name)
        rows.append(Row(name, sound, str(normal["text"]), speaker, span))
    return rows


def _metadata(file: Path) -> Iterator[Row]:
    first = read(file).partition("\n")[0]
    if "|" not in first:
        yield from keyed(table_rows(file, ","), file.parent)
        return
    for line in filter(str.strip, read(file).splitlines()):
        name, *texts = line.split("|")
        home = file.parent / "wavs"
        sound = (home if home.is_dir() else file.parent) / f"{name.removesuffix('.wav')}.wav"
        yield Row(sound.stem, sound, texts[-1] if texts else "", sound.stem)


def _stem(file: Path, root: Path) -> str:
    return file.relative_to(root).with_suffix("").as_posix()


def _parent(file: Path, root: Path) -> str:
    return _stem(file, root) if file.parent == root else file.parent.name


def _converted(file: Path) -> Path:
    copies = [file.with_suffix(s) for s in SOUNDS]
    return next((c for c in copies if c.is_file()), file)
