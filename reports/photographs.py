"""Run two seed rows for real and write ``photographs.md`` with its pictures: ``python reports/photographs.py``.

Two hand-made 7 × 7 filters (a vertical and a horizontal line) go over two photographs with stride 2 and SAME padding
(zoo:photo-filters), and a 2 × 2 max pooling over the same photographs (zoo:pooling-example). The photographs are
scikit-learn's sample images; without scikit-learn a generated picture takes their place, and the report says so.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cnncost
from cnncost.errors import CnncostError, MissingExtra
from cnncost.export import build

HERE = Path(__file__).resolve().parent
MAPS = ("vertical", "horizontal")
# As scikit-learn's own list of its images has them, and under https://creativecommons.org/licenses/by/2.0/ all.
CREDITS = {
    "china": "https://www.flickr.com/photos/danielbuechele/6061409035",
    "flower": "https://www.flickr.com/photos/vultilion/6056698931",
}


def photographs() -> tuple[dict[str, Any], str]:
    """Name → a picture of 427 × 640 × 3 values in 0 … 1, and where they come from."""
    try:
        from sklearn.datasets import load_sample_image
    except ImportError:
        return {"generated": generated()}, "a generated picture (scikit-learn, which ships the photographs, is missing)"
    version = importlib.metadata.version("scikit-learn")
    pictures = {name: load_sample_image(f"{name}.jpg").astype("float32") / 255 for name in CREDITS}
    return pictures, f"scikit-learn {version}'s sample images china.jpg and flower.jpg"


def generated() -> Any:
    """Stripes both ways, rings and a slope: something for either filter to find."""
    import numpy as np

    rows, columns = np.mgrid[0:427, 0:640].astype("float32")
    rings = np.sin(np.hypot(rows - 210, columns - 460) / 6)
    upright = np.sign(np.sin(columns / 5)) * (columns < 200)
    level = np.sign(np.sin(rows / 5)) * ((columns >= 200) & (columns < 320))
    layers = [rings * (columns >= 320) + upright + level, rows / 427 * 2 - 1, columns / 640 * 2 - 1]
    return ((np.stack(layers, axis=-1) + 1) / 2).clip(0, 1)


def filters() -> Any:
    """Shape (7, 7, 3, 2): a white column, and a white row, through the middle."""
    import numpy as np

    found = np.zeros((7, 7, 3, 2), "float32")
    found[:, 3, :, 0] = 1
    found[3, :, :, 1] = 1
    return found


def outputs(source: str, picture: Any, **weights: Any) -> Any:
    """What the real model of ``source`` makes of the picture; its shape is the one that was predicted."""
    import numpy as np

    graph = cnncost.load(source)
    model = build(graph)
    for name, value in weights.items():
        model.get_layer(name).set_weights([value])
    found = np.asarray(model([picture[None]], training=False))[0]
    predicted = cnncost.analyze(graph).layers[-1].output_shape
    if found.shape != predicted:
        raise CnncostError(f"{source}: predicted {predicted}, measured {found.shape}")
    return found


def pictures() -> Iterator[tuple[str, str, Any]]:
    """(file's name, caption, values in 0 … 1) of every picture of the report."""
    for name, picture in photographs()[0].items():
        maps = outputs("zoo:photo-filters", picture, lines=filters())
        for number, which in enumerate(MAPS):
            values = maps[..., number]
            shown = (values - values.min()) / (values.max() - values.min())
            yield f"{name}-{which}.png", f"{name}: the {which} line's map, {_size(values)}", shown
        pooled = outputs("zoo:pooling-example", picture)
        yield f"{name}-pooled.png", f"{name}: max pooling 2 × 2, {_size(pooled)}", pooled


def _size(values: Any) -> str:
    return " × ".join(map(str, values.shape))


def main(arguments: Sequence[str] = ()) -> int:
    """Nothing is replaced before all of it has been made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", metavar="FOLDER", type=Path, default=HERE, help="where the report goes")
    here = parser.parse_args(arguments).output
    try:
        here.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=here, prefix=".photographs-") as folder:
            text = written(Path(folder))
            replace(Path(folder), text, here)
    except ModuleNotFoundError as error:
        extra = "report" if error.name == "matplotlib" else "tensorflow"
        print(MissingExtra(str(error.name), extra), file=sys.stderr)
        return 3
    except CnncostError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nerror: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"error: cannot use '{here}': {error.strerror}", file=sys.stderr)
        return 3
    print(here / "photographs.md")
    return 0


def replace(made: Path, text: str, here: Path) -> None:
    """Put the pictures where they belong, and the text that shows them."""
    pictures = here / "photographs"
    pictures.mkdir(exist_ok=True)
    new = sorted(made.iterdir())
    for path in new:
        path.replace(pictures / path.name)
    part = here / "photographs.md.part"
    part.write_text(text, encoding="utf-8")
    part.replace(here / "photographs.md")
    for old in pictures.glob("*.png"):
        if old.name not in {path.name for path in new}:
            old.unlink()


def written(folder: Path) -> str:
    """Write all pictures into ``folder``; the text that shows them."""
    import keras
    from matplotlib.image import imsave

    lines = [
        "# Two filters and a pooling over photographs, run for real", "",
        f"Written by `python reports/photographs.py` with Keras {keras.__version__} on {keras.backend.backend()}, "
        f"from {photographs()[1]}.",
        "The real outputs have the predicted shapes: a 427 × 640 picture under 7 × 7 filters with stride 2 and SAME "
        "padding gives maps of 214 × 320, and max pooling 2 × 2 with VALID padding gives 213 × 320 (the last row is "
        "ignored).",
    ]  # fmt: skip
    credits = [f"{name}.jpg: {url}" for name, url in CREDITS.items()]
    if "generated" not in photographs()[0]:
        lines += ["", f"The photographs, licensed CC BY 2.0 and changed here: {'; '.join(credits)}."]
    for name, caption, values in pictures():
        imsave(folder / name, values, cmap="gray", vmin=0, vmax=1)
        lines += ["", f"{caption}", "", f"![{caption}](photographs/{name})"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
