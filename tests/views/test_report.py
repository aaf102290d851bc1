from explorer.views.report import write_report


def test_write_report_replaces_the_old_one_whole(makers, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(makers.make_small_result(), path)
    assert path.read_text(encoding="utf-8").endswith("</html>")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
