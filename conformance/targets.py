"""From options to targets: which servers are judged, by which profile each."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from conformance.catalogue import protocols
from conformance.profile import Effect, Profile
from conformance.profile_file import ProfileError, default_profile, load_profile, shipped_profiles

_NAMED = re.compile(r"^(?P<protocol>[a-z][a-z0-9_-]*/\d+)=(?P<url>.+)$")


class TargetError(ValueError):
    """Options that name no judgeable target. One line: what is wrong and what to type."""


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """What was asked for, wherever it was asked."""

    targets: tuple[str, ...] = ()
    protocol: str | None = None
    profile: str | None = None
    allow: tuple[str, ...] = ()
    strict: bool = False
    timeout_scale: float = 1.0


def resolve(options: TargetOptions, environ: Mapping[str, str] = os.environ) -> tuple[Profile, ...]:
    """The profiles of the targets that the options name; empty where they name none.

    Raises `TargetError`.
    """
    try:
        profiles = _resolve(options, environ)
    except ProfileError as error:
        raise TargetError(str(error)) from None
    allow = tuple(_effect(name) for name in options.allow)
    return tuple(
        replace(
            profile,
            allow=(*(profile.allow or ()), *allow) or None,
            strict=profile.strict or options.strict,
            timeout_scale=options.timeout_scale,
        )
        for profile in profiles
    )


def _resolve(options: TargetOptions, environ: Mapping[str, str]) -> Sequence[Profile]:
    if options.protocol is not None:
        _known(options.protocol)
    if not options.targets:
        return [_load(options.profile, None, options.protocol, environ)] if options.profile else []
    return [_target(text, options, environ) for text in options.targets]


def _target(text: str, options: TargetOptions, environ: Mapping[str, str]) -> Profile:
    protocol, url = options.protocol, text
    if named := _NAMED.match(text):
        protocol, url = named["protocol"], named["url"]
        _known(protocol)
    if not re.match(r"^https?://[^/]", url):
        raise TargetError(
            f"--target {text}: not a URL: expected http://HOST[:PORT][/PREFIX] or PROTOCOL/REVISION=URL"
        )
    if options.profile:
        return _load(options.profile, url, protocol, environ)
    if protocol is None:
        raise NoProtocolError(url)
    return default_profile(protocol, url.rstrip("/"))


class NoProtocolError(TargetError):
    """A target whose protocol nobody named."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"--target {url}: which protocol? Add --sse-protocol P/R or write --target P/R=URL "
            f"(P/R is one of {', '.join(protocols())})"
        )


def _load(name: str, url: str | None, protocol: str | None, environ: Mapping[str, str]) -> Profile:
    path = shipped_profiles().get(name, Path(name))
    return load_profile(
        path, url=None if url is None else url.rstrip("/"), protocol=protocol, environ=environ
    )


def _known(protocol: str) -> None:
    if protocol not in protocols():
        raise TargetError(f"unknown protocol {protocol!r}: expected one of {', '.join(protocols())}")


def _effect(name: str) -> Effect:
    try:
        return Effect(name)
    except ValueError:
        known = ", ".join(effect.value for effect in Effect)
        raise TargetError(f"--sse-allow {name}: unknown effect class: expected one of {known}") from None
