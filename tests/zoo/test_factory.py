import sys

import pytest

from dropkit.core import ConfigError, InputError, UnknownNameError
from dropkit.zoo import load_factory
from dropkit.zoo.factory import call_factory, is_reference


@pytest.mark.parametrize("good", ["a:b", "a.b.c:d", "a:B.c"])
def test_references(good):
    assert is_reference(good)


@pytest.mark.parametrize("bad", ["a", "a:", ":b", "a/b:c", "a b:c", "C:\\x", "a:b:c", "", "a..b:c"])
def test_what_is_no_reference(bad):
    assert not is_reference(bad)
    with pytest.raises(ConfigError, match=r"a factory is given as 'package.module:factory', got"):
        load_factory(bad)


def test_installed_and_nested_names_are_found():
    import collections

    assert load_factory("collections:OrderedDict.fromkeys") == collections.OrderedDict.fromkeys


def test_module_in_the_working_directory_is_found_without_shadowing(module):
    name = module("def make(): return 3")
    assert load_factory(f"{name}:make")() == 3
    assert sys.path[0] == "/nowhere"


@pytest.mark.parametrize(
    ("text", "attribute", "error", "message"),
    [
        ("def factory(): pass", "factroy", UnknownNameError, "did you mean 'factory'"),
        ("factory = 3", "factory", ConfigError, "must be callable, got int"),
        (
            "raise RuntimeError('first\\nsecond')",
            "factory",
            ConfigError,
            "importing .* raised RuntimeError: first$",
        ),
        ("raise SystemExit(2)", "factory", ConfigError, "importing .* raised SystemExit: 2$"),
        ("def broken(:", "factory", ConfigError, "importing .* raised SyntaxError"),
        (
            "import not_a_module_at_all",
            "factory",
            ConfigError,
            "raised ModuleNotFoundError: .*not_a_module_at_all",
        ),
    ],
)
def test_what_cannot_be_loaded(module, text, attribute, error, message):
    reference = f"{module(text)}:{attribute}"
    before = list(sys.path)
    with pytest.raises(error, match=message) as caught:
        load_factory(reference)
    assert reference.partition(":")[0] in str(caught.value)
    assert sys.path == before or error is UnknownNameError or "callable" in message


def test_missing_module_is_named(module):
    with pytest.raises(
        ConfigError, match=r"'not_there\.sub:f': there is no module 'not_there', neither installed"
    ):
        load_factory("not_there.sub:f")
    with pytest.raises(ConfigError, match=r"there is no module 'json\.not_there'"):
        load_factory("json.not_there:f")


def test_offered_arguments_are_passed_where_there_is_a_parameter(module):
    name = module("def some(b, *, c=0): return (b, c)\ndef all(**kw): return kw\ndef none(): return ()")
    call = {"offered": {"a": 1, "b": 2}, "options": {}}
    assert call_factory(f"{name}:some", **call) == (2, 0)
    assert call_factory(f"{name}:all", **call) == {"a": 1, "b": 2}
    assert call_factory(f"{name}:none", **call) == ()
    assert call_factory(f"{name}:some", offered={"b": 2}, options={"b": 3, "c": 4}) == (3, 4)


def test_options_must_have_a_parameter(module):
    name = module("def f(*, width=1): pass\ndef none(): pass")
    with pytest.raises(UnknownNameError, match="'widht'; did you mean 'width'"):
        call_factory(f"{name}:f", offered={}, options={"widht": 1})
    with pytest.raises(ConfigError, match="takes no options, got 'width'"):
        call_factory(f"{name}:none", offered={}, options={"width": 1})


def test_a_factory_that_raises_is_named_with_its_error(module):
    name = module("def f(): raise ValueError('no such thing\\nand more')\ndef g(): raise KeyError")
    with pytest.raises(
        InputError, match=rf"factory '{name}:f' raised ValueError: no such thing; correct"
    ) as caught:
        call_factory(f"{name}:f", offered={}, options={})
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(InputError, match="raised KeyError; correct"):
        call_factory(f"{name}:g", offered={}, options={})
    name = module("def leave(): raise SystemExit(3)")
    with pytest.raises(InputError, match="raised SystemExit: 3; correct"):
        call_factory(f"{name}:leave", offered={}, options={})
