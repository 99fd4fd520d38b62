"""One door to all data: a built-in name, a file, a folder or a factory."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from dropkit.core import ConfigError, DataError, unknown_name
from dropkit.zoo.bundled import BUNDLED, load_bundled
from dropkit.zoo.csv_file import TABLES, load_csv
from dropkit.zoo.data import Data, Task
from dropkit.zoo.factory import is_reference
from dropkit.zoo.factory_data import load_factory_data
from dropkit.zoo.idx_sets import IDX_SETS, load_idx_folder, load_idx_set
from dropkit.zoo.npz_file import load_npz
from dropkit.zoo.source import Source, assemble
from dropkit.zoo.split import Size, split

DATA_NAMES = tuple(sorted([*BUNDLED, *IDX_SETS]))


def load_data(
    name: str,
    *,
    dir: str | os.PathLike[str] | None = None,
    val: Size | None = None,
    test: Size | None = None,
    subset: Size | None = None,
    split_seed: int = 0,
    target: str | None = None,
    task: Task | None = None,
    resplit: bool = False,
) -> Data:
    """Load a data set and split it into training, validation and test part.

    The parts are disjoint, depend on nothing but the data and these arguments, and for classification each has
    its share of every class. The test part is taken first, then ``subset``, then ``val``.

    Args:
        name: ``"digits"``, ``"breast-cancer"``, ``"mnist"``, ``"fashion-mnist"``, the path of a ``.csv``, ``.tsv``
            or ``.npz`` file, a folder of four idx files, or ``"package.module:factory"``.
        dir: Folder of the idx files, or the folder that a relative path starts from; a factory gets it as ``dir=``.
        val: Validation part: count, or fraction in (0, 1) of the training and validation examples kept.
        test: Test part: count, or fraction in (0, 1). Where the data come with a test part, how much of that.
        subset: Training and validation examples to keep, together: count, or fraction in (0, 1). None: all.
        split_seed: Decides which example goes where; an integer, at least 0.
        target: Target column of a CSV file. None: the last.
        task: ``"classification"`` or ``"regression"``; None: decided by the target.
        resplit: Pool the parts that come with the data before splitting.

    Returns:
        The three parts, and what a model must know of them.

    Raises:
        DataError: data is missing, damaged or unusable, or too small for what is asked.
        ConfigError: an argument has an illegal value or no meaning for this data, or a factory failed.
        UnknownNameError: there is no such data set, column or factory.
    """
    if not isinstance(name, str | os.PathLike):
        raise ConfigError(f"the name of the data must be text, got {name!r}")
    if task not in (None, "classification", "regression"):
        raise ConfigError(f"task must be 'classification' or 'regression', got {task!r}")
    source = _read(os.fspath(name), None if dir is None else Path(dir).expanduser(), target, task)
    if isinstance(source, Data):
        asked = {"val": val, "test": test, "subset": subset, "resplit": resplit or None}
        given = [key for key, value in asked.items() if value is not None]
        if given:
            raise ConfigError(
                f"{name}: its factory returns a finished Data, which {given[0]} cannot change; set it in the"
                " factory, or return Datasets"
            )
        return source
    if task not in (None, source.task):
        raise ConfigError(f"{name} is for {source.task}, got task = {task!r}; leave task out")
    parts = split(
        source.sizes,
        strata=source.y if source.task == "classification" else None,
        val=val,
        test=test,
        default_val=source.val,
        default_test=source.test,
        subset=subset,
        seed=split_seed,
        resplit=resplit,
        name=source.name,
    )
    return assemble(source, parts)


def _read(name: str, dir: Path | None, target: str | None, task: Task | None) -> Source | Data:
    path = Path(name).expanduser() if dir is None else dir / name
    suffix = path.suffix.lower()
    if target is not None and suffix not in TABLES:
        raise ConfigError(f"target names a column of a CSV file and means nothing for {name!r}; leave it out")
    if name in BUNDLED:
        if dir is not None:
            raise ConfigError(f"{name} comes with scikit-learn and has no files; leave dir out")
        return load_bundled(name)
    if name in IDX_SETS:
        return load_idx_set(name, dir)
    if suffix in (*TABLES, ".npz"):
        if not path.is_file():
            raise DataError(f"{name}: there is no file {path.absolute()}; correct the path")
        source = load_npz(path, task=task) if suffix == ".npz" else load_csv(path, target=target, task=task)
        return replace(source, name=name)
    if is_reference(name):
        return load_factory_data(name, dir=dir, task=task)
    if path.is_dir():
        return replace(load_idx_folder(path), name=name)
    raise unknown_name("data", name, [*DATA_NAMES, "FILE.csv", "FILE.npz", "package.module:factory"])
