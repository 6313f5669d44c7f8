"""First code of every PostgreSQL process that we start: take on an identity, then become the program.

Run as a plain file (``python -I -S postgres_child.py IDENTITY SIGNAL PARENT PROGRAM ARGS…``), standard library only.
PostgreSQL refuses to run as root and ``initdb`` wants a passwd entry, so IDENTITY is one of

``self``
    stay who we are;
``namespace:UID:GID``
    a user namespace in which our own user is called UID. Files keep their owner, nobody gains a right, no user is
    added and no mode is changed; it works below 0700 folders of ours;
``dropped:UID:GID``
    become UID, keeping only the capability to pass folders that it could not enter (CAP_DAC_OVERRIDE). For root
    where user namespaces are switched off.

SIGNAL (number, 0 = none) is sent to the program when PARENT dies. It is set last, because a change of credentials
clears it (prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import os
import sys

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522

EXIT_NO_IDENTITY = 97
EXIT_NO_PROGRAM = 98

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _enter_namespace(uid: int, gid: int) -> None:
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    _checked(_libc.unshare(_CLONE_NEWUSER), "unshare(CLONE_NEWUSER)")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outer_uid} 1"),
        ("gid_map", f"{gid} {outer_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _drop(uid: int, gid: int) -> None:
    _checked(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl(PR_SET_KEEPCAPS)")
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    bit = 1 << _CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    _checked(_libc.capset(header, sets), "capset")
    _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0), "prctl(PR_CAP_AMBIENT)")


def _take_identity(identity: str) -> None:
    kind, _, ids = identity.partition(":")
    if kind == "self":
        return
    uid, gid = (int(part) for part in ids.split(":"))
    if kind == "namespace":
        _enter_namespace(uid, gid)
    else:
        _drop(uid, gid)


def _main(arguments: list[str]) -> int:
    identity, signal_number, parent, *command = arguments
    try:
        _take_identity(identity)
        if int(signal_number):
            _checked(_libc.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
            if os.getppid() != int(parent):  # the parent died before the line above
                return EXIT_NO_IDENTITY
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_NO_IDENTITY
    try:
        os.execv(command[0], command)  # noqa: S606 - the argument list is built by our launcher
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error}\n")
    return EXIT_NO_PROGRAM


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
