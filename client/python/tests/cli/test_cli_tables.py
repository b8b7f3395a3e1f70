"""A table that is written part by part, as rows are found."""

from auditd_client.cli._output import Writer

ROWS = [[(1, "user.login"), (22, "a")], [(3, "b")], [(4444444444, "record.read.everything"), (5, "")], [(6, "c")]]


def lines(capsys, parts):
    writer = Writer("table", ("index", "action"), lambda item: item, str)
    with writer:
        for part in parts:
            writer.write(part)
    return capsys.readouterr().out.splitlines()


def test_later_rows_stand_below_the_first_ones(capsys):
    assert lines(capsys, ROWS[:2]) == ["index  action", "    1  user.login", "   22  a", "    3  b"]


def test_later_rows_may_need_more_room(capsys):
    assert lines(capsys, ROWS) == [
        "index  action",
        "    1  user.login",
        "   22  a",
        "    3  b",
        "4444444444  record.read.everything",
        "         5",
        "         6  c",
    ]


def test_there_is_one_head_however_little_a_part_holds(capsys):
    assert lines(capsys, [[], *ROWS[1:2], [], *ROWS[3:]]) == ["index  action", "    3  b", "    6  c"]
