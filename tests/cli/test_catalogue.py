import json

import dropkit as package


def test_the_table_has_a_line_a_variant(dropkit):
    head, *lines = dropkit("catalogue").out.splitlines()
    assert head.split() == ["name", "family", "default_rate", "at", "year"]
    assert [line.split()[0] for line in lines] == [entry.name for entry in package.catalogue()]


def test_json_holds_what_the_registry_holds(dropkit):
    entries = {entry["name"]: entry for entry in json.loads(dropkit("catalogue", "--json").out)}
    for variant in package.catalogue():
        entry = entries.pop(variant.name)
        for key in ("family", "kind", "law", "default_rate", "samples", "paper", "year"):
            assert entry[key] == getattr(variant, key)
        assert entry["at"] == list(variant.at)
        assert variant.op is None or entry["op"].endswith(f".{variant.op.__qualname__}")
    assert not entries


def test_a_family_alone(dropkit):
    family = package.variant("drop_path").family
    names = [entry["name"] for entry in json.loads(dropkit("catalogue", "--family", family, "--json").out)]
    assert names == [entry.name for entry in package.catalogue() if entry.family == family]
    assert 0 < len(names) < len(package.catalogue())


def test_one_variant_in_full(dropkit):
    variant = package.variant("dropout")
    text = dropkit("catalogue", "dropout").out
    words = " ".join(text.split())
    assert variant.law in words
    assert variant.paper in words
    assert "dk.nn.Dropout(rate=0.5)" in text
    assert json.loads(dropkit("catalogue", "dropout", "--json").out)["year"] == variant.year


def test_unknown_names_get_the_nearest_one(refused):
    assert "did you mean 'dropout'?" in refused("catalogue", "dropuot")
    family = package.variant("dropout").family
    assert f"did you mean {family!r}?" in refused("catalogue", "--family", family + "x")


def test_the_page_names_every_variant(dropkit):
    page = dropkit("catalogue", "--markdown").out
    for variant in package.catalogue():
        assert f"### {variant.name}\n" in page
        assert variant.paper in page
