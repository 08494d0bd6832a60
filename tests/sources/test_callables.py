"""``module:attribute``: the user's own code, and what may go wrong in it."""

import sys

import pytest

from cnncost.analysis import analyze_graph
from cnncost.errors import CnncostError
from cnncost.sources import load

CODE = '''
import json

class Model:
    """What a live Keras model looks like from outside."""
    layers = ()
    def get_config(self): return {}
    def to_json(self):
        dense = {"class_name": "Dense", "config": {"name": "d", "units": 3, "batch_input_shape": [None, 4]}}
        return json.dumps({"class_name": "Sequential", "config": {"name": "net", "layers": [dense]}})

class Subclassed(Model):
    def to_json(self): raise NotImplementedError("no config")

model = Model()
subclassed = Subclassed()
number = 3
def make(): print("noise"); return Model()
def broken(): raise KeyError("oh\\nno")
def leaves(): raise SystemExit(5)
def needs(x): return Model()
def nothing(): return None
class Holder:
    make = staticmethod(make)
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "user_models.py").write_text(CODE)
    (tmp_path / "user_broken.py").write_text("raise RuntimeError('at import')")
    (tmp_path / "user_syntax.py").write_text("def (")
    (tmp_path / "user_needs.py").write_text("import a_module_that_is_not_there")
    (tmp_path / "user_tf.py").write_text("import tensorflow")
    (tmp_path / "user_package").mkdir()
    (tmp_path / "user_package" / "__init__.py").write_text("")
    (tmp_path / "user_package" / "nets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield tmp_path
    assert sys.path == before
    for name in [name for name in sys.modules if name.startswith("user_")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "source", ["user_models:make", "user_models:model", "user_package.nets:make", "user_models:Holder.make"]
)
def test_models_and_functions(here, capsys, source):
    graph = load(source)
    assert graph.source == source and analyze_graph(graph).totals.params == 15
    (finding,) = graph.findings
    assert finding.severity == "info" and source in finding.message and "was run" in finding.message
    assert capsys.readouterr().out == ""  # what the user's code prints does not spoil the output


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("user_models:broken", ["KeyError", "oh"]),
        ("user_models:leaves", ["SystemExit", "5"]),
        ("user_models:needs", ["TypeError", "argument"]),
        ("user_models:nothing", ["no Keras model", "NoneType"]),
        ("user_models:number", ["no Keras model", "int"]),
        ("user_models:subclassed", ["Subclassed", "NotImplementedError", "graph"]),
        ("user_models:mak", ["no attribute 'mak'", "did you mean 'make'"]),
        ("user_broken:x", ["RuntimeError", "at import"]),
        ("user_syntax:x", ["SyntaxError"]),
        ("user_needs:x", ["ModuleNotFoundError", "a_module_that_is_not_there"]),
        ("user_nowhere:x", ["no module 'user_nowhere'"]),
        ("user_package.nowhere:x", ["no module"]),
        ("user models:x", ["names no Python object"]),
        ("os:", ["names no Python object"]),
        ("os:path:join", ["names no Python object"]),
    ],
)
def test_each_is_one_error(here, source, words):
    with pytest.raises(CnncostError) as caught:
        load(source)
    assert caught.value.exit_code == 2
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text


def test_missing_tensorflow_is_an_extra(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(CnncostError) as caught:
        load("user_tf:x")
    assert caught.value.exit_code == 3 and "cnncost[tensorflow]" in str(caught.value)


@pytest.mark.keras
def test_a_subclassed_keras_model():
    keras = pytest.importorskip("keras")

    class Net(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(CnncostError) as caught:
        load(Net())
    assert "Net" in str(caught.value) and "Functional" in str(caught.value)


def test_notices_of_an_imported_framework_are_not_shown(here, capfd):
    """TensorFlow's native code writes to the descriptor itself, before it can be told not to."""
    (here / "keras").mkdir()
    (here / "keras" / "__init__.py").write_text("import os; os.write(2, b'notice of native code\\n')")
    (here / "user_keras.py").write_text("import sys, keras\nsys.stderr.write('own words\\n')\n" + CODE)
    mine = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "keras"}
    try:
        assert load("user_keras:make").layers
    finally:
        sys.modules.pop("keras", None)
        sys.modules.update(mine)
    said = capfd.readouterr().err
    assert "own words" in said
    assert "notice" not in said
