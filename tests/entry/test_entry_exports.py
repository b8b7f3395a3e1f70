import auditd.entry


def test_exports_are_sorted_and_real() -> None:
    names = auditd.entry.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert all(hasattr(auditd.entry, name) for name in names)
    public = {name for name in vars(auditd.entry) if not name.startswith("_")}
    assert public == set(names)
