"""The command that shows mails."""

from pathlib import Path

from tests.app.cli.conftest import Run


def test_a_mail_is_shown_with_the_given_values(run: Run) -> None:
    ran = run("mail", "preview", "--product=algadesk", "--tenant-name=Bravo", "--first-name=Grace")
    assert ran.code == 0
    first, _, greeting, *_ = ran.stdout.splitlines()
    assert first == "Subject: Choose your password for Bravo in AlgaDesk"
    assert greeting == "Hello Grace,"
    assert "<bdi>Grace</bdi>" in ran.stdout


def test_a_mail_is_written_into_a_folder(run: Run, tmp_path: Path) -> None:
    ran = run("mail", "preview", "--no-link", "-o", str(tmp_path / "out"))
    files = sorted((tmp_path / "out").iterdir())
    assert (ran.code, ran.stdout.splitlines()) == (0, [str(tmp_path / "out" / n) for n in FILES])
    assert [file.name for file in files] == sorted(FILES)
    assert "in another way" in (tmp_path / "out" / "mail.txt").read_text()


FILES = ("subject.txt", "mail.txt", "mail.html")


def test_templates_of_the_installation_are_used(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "welcome_psa.txt").write_text("Subject: Servus\n\n{{ password_link }}\n")
    environment["MAIL_TEMPLATES_DIR"] = str(tmp_path)
    assert run("mail", "preview", "--json").document["subject"] == "Servus"
    (tmp_path / "welcome_psa.txt").write_text("Subject: Servus\n")
    ran = run("mail", "preview")
    assert (ran.code, "welcome_psa.txt: does not show {{ password_link }}" in ran.stderr) == (2, True)


def test_an_unknown_product_is_named(run: Run) -> None:
    ran = run("mail", "preview", "--product=crm")
    assert ran.code == 2
    assert "psa, algadesk" in ran.stderr
