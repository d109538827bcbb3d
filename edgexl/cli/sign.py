"""Commands of trust: keys new, keys show, sign, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgexl.base.errors import BadInput
from edgexl.cli.output import json_option, print_json
from edgexl.cli.streams import print_line

PATH = click.Path(path_type=Path)
public_keys_option = click.option(
    "--key", "keys", metavar="PUB", multiple=True, help="A public key: its file, or its line that begins with RW."
)
least_version_option = click.option(
    "--least-version", type=int, default=0, help="With --key: refuse what was signed with a version below this."
)
password_option = click.option(
    "--password-file", type=PATH, help="The file whose first line is the key's password. [default: ask]"
)


@click.group()
def keys() -> None:
    """Make and show keys that sign bundles. They are minisign's."""


@keys.command()
@click.argument("path", type=PATH)
@click.option("--no-password", is_flag=True, help="Do not encrypt the secret key: who has the file can sign.")
@password_option
@json_option
def new(path: Path, no_password: bool, password_file: Path | None, as_json: bool) -> None:
    """Make a secret key in the file PATH, and its public key beside it (.pub), which apps are given.

    \b
    edgexl keys new shop.key
    """
    from edgexl.bundle.signing import new_key, write_keys

    if no_password and password_file:
        raise BadInput("Give a password file or --no-password, not both.")
    key = new_key()
    public = write_keys(path, key, "" if no_password else ask_password(password_file, confirm=True))
    if as_json:
        print_json({"secret": str(path), "public": str(public), "key": key.public.name, "public_key": key.public.line})
        return
    print_line(f"{path}: the secret key {key.public.name}; who has it can sign, and without it nobody can")
    print_line(f"{public}: the public key, {key.public.line}")


@keys.command()
@click.argument("path")
@json_option
def show(path: str, as_json: bool) -> None:
    """Show the id and the line of a public key, as apps take it.

    \b
    edgexl keys show shop.pub
    """
    from edgexl.bundle.signing import read_public_key

    key = read_public_key(path)
    if as_json:
        print_json({"key": key.name, "public_key": key.line})
        return
    print_line(f"{key.name}  {key.line}")


@click.command()
@click.argument("bundle", type=PATH)
@click.option("--key", type=PATH, help="The file of the secret key.")
@password_option
@click.option("--version", type=int, default=0, help="A number that grows: apps may refuse what is below theirs.")
@click.option("--comment", default="", help="A line of your own, which is signed, too.")
@click.option("--detached", is_flag=True, help="Leave BUNDLE as it is, and write BUNDLE.minisig.")
@click.option("--signature", type=PATH, help="Store what `minisign -S` has made of the signed bytes.")
@click.option("--signed-bytes", type=PATH, help="Sign nothing: write what is to be signed to this file.")
@click.option("--remove", is_flag=True, help="Take BUNDLE's signature out of it.")
@click.option("-o", "--out", type=PATH, help="The file to write. [default: BUNDLE itself]")
@json_option
def sign(
    bundle: Path,
    key: Path | None,
    password_file: Path | None,
    signed_bytes: Path | None,
    remove: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Sign BUNDLE, and store the signature in it. Of a patch it is written beside it.

    \b
    edgexl sign tags.exl --key shop.key --version 3
    edgexl sign tags.exl --key shop.key --version 3 --detached
    edgexl sign tags-2.exlp --key shop.key
    """
    from edgexl.use.sign import sign as sign_file
    from edgexl.use.sign import unsign, write_signed_bytes

    if sum((key is not None or how["signature"] is not None, remove, signed_bytes is not None)) > 1:
        raise BadInput("Give one of --key, --signature, --signed-bytes and --remove.")
    if signed_bytes is not None:
        report: dict[str, Any] = {"path": str(signed_bytes), "bytes": write_signed_bytes(bundle, signed_bytes)}
        done = "what is signed"
    elif remove:
        report, done = unsign(bundle, how["out"]), "without a signature"
    else:
        report = sign_file(bundle, key, lambda: ask_password(password_file), **how)
        done = f"signed by key {report['key']}" + (f", version {report['version']}" if report["version"] else "")
    if as_json:
        print_json(report)
        return
    print_line(f"{report['path']}: {done}, {report['bytes']:,} bytes")


@click.command()
@click.argument("bundle", type=PATH)
@public_keys_option
@least_version_option
@click.option("--signature", type=PATH, help="The signature's file. [default: in BUNDLE, or BUNDLE.minisig]")
@json_option
def verify(bundle: Path, keys: tuple[str, ...], least_version: int, signature: Path | None, as_json: bool) -> None:
    """Check that one of these keys has signed BUNDLE, or a patch, and that it is as it was signed, to the byte.

    \b
    edgexl verify tags.exl --key shop.pub --least-version 3
    """
    from edgexl.use.sign import verify as verify_file

    report = verify_file(bundle, keys, least_version, signature)
    if as_json:
        print_json(report)
        return
    if "patch" in report:
        print_line(f"{bundle}: signed by key {report['key']}; all {report['bytes']:,} bytes are as signed")
        return
    version = f", version {report['version']}" if report["version"] else ""
    print_line(f"{bundle}: signed by key {report['key']}{version}; all {report['sections']} sections are as signed")


def ask_password(file: Path | None, confirm: bool = False) -> str:
    """The first line of the file, or what is typed."""
    from edgexl.base.files import read_input

    if file is None:
        return str(click.prompt("Password of the secret key", hide_input=True, confirmation_prompt=confirm, err=True))
    lines = read_input(file, 4096).decode("utf-8", "replace").splitlines()
    if not lines or not lines[0]:
        raise BadInput(f"{file} holds no password; write it into its first line.")
    return lines[0]
