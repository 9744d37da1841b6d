"""One repository in a registry: what is under a tag there, fetching it, sending to it.

Everything goes through the engine, so that its proxies, mirrors, certificates and insecure registries count. The engine
itself leaves out layers that have arrived, hence a transfer that begins again goes on where it was.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from console.base.registry_errors import RegistryError, RegistryFault, explain, host_of
from console.base.registry_line import EngineLine, HungUpError, auth_header
from console.base.registry_progress import LayerProgress, Telling
from console.base_values import Transfer, TransferStatus
from console.credentials import Credentials, CredentialsError, find_credentials
from console.engine import engine_errors
from console.errors import EngineError, SplitdeckError

if TYPE_CHECKING:
    from docker import APIClient

_PAUSES_S = (2.0, 8.0)
"""Between the attempts: one more attempt than pauses."""
_LIBPOD = "/v5.0.0/libpod"


class Registry:
    """One repository in a registry, for one thread; another one may cancel.

    Args:
        client: The engine's, of the thread that asks.
        repository: With its registry and without a tag, such as `ghcr.io/us/base`.
        observe: Hears how far a transfer is, on the thread that asks.
        credentials: Finds what is kept for a registry; takes what ends it at once.
        pause: Waits between attempts, in seconds; by default a wait that `cancel` ends.
        clock: Seconds, from anywhere.
    """

    def __init__(
        self,
        client: APIClient,
        repository: str,
        observe: Callable[[Transfer], None],
        *,
        credentials: Callable[[str, Callable[[Callable[[], None]], object]], Credentials | None] = find_credentials,
        pause: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client: Any = client
        self._repository = repository
        self._observe = observe
        self._find_credentials = credentials
        self._line = EngineLine(client)
        self._pause = pause or self._line.pause
        self._clock = clock

    def cancel(self) -> None:
        """Ends what is under way, and whatever is asked of this `Registry` later; for other threads."""
        self._line.hang_up()

    def digest_of(self, tag: str) -> str | None:
        """The digest that the registry has under a tag (`sha256:…`); None where there is no such tag or repository.

        Podman has no question for this. It is brought to look by adding the image to an empty list of images, which
        fetches nothing but the manifest; of an image for several platforms it tells the digest for the engine's own.

        Raises:
            RegistryError: If the registry does not say, or on `cancel`.
            CredentialsError: If what `docker login` left cannot be read.
            EngineError: If the engine fails.
        """
        doing = f"asking for {self._repository}:{tag}"
        with self._cancelled(doing):
            credentials = self._credentials()
            response = self._line.request(
                "get", f"/distribution/{self._repository}:{tag}/json", auth=self._auth(credentials)
            )
            text = self._line.text(response)
            if response.status_code == 200:
                return str(json.loads(text)["Descriptor"]["digest"])
            if response.status_code == 404 and _message_in(text) is None:
                return self._digest_by_list(doing, tag, credentials)
            self._absent_or_raise(self._error(doing, _message_in(text) or text, credentials, response.status_code))
            return None

    def pull(self, version: str) -> str:
        """Fetches an image, and gives its ID.

        By a digest no tag moves: the image has the repository's name with the digest, and no other. By a tag, this tag
        of the repository's name moves on the engine too.

        Args:
            version: A tag, or a digest (`sha256:…`).

        Raises:
            RegistryError: If the registry refuses or cannot be reached, or on `cancel`.
            CredentialsError: If what `docker login` left cannot be read.
            EngineError: If the engine fails.
        """
        reference = self._reference(version)

        def once(progress: LayerProgress, telling: Telling, credentials: Credentials | None) -> str:
            params = {"fromImage": self._repository, "tag": version}
            response = self._line.request("post", "/images/create", params=params, auth=self._auth(credentials))
            self._follow(response, progress, telling)
            with engine_errors(f"looking for {reference}"):
                return str(self._client.inspect_image(reference)["Id"])

        return self._transfer("pull", reference, once)

    def push(self, image_id: str, tag: str) -> str:
        """Sends an image, and gives the digest that the registry has it under.

        The engine sends only what has the repository's name, so the image gets that name and tag for the time being.
        Afterwards the tag is where it was before; an image that has no other tag keeps it, as it would be removed with
        it. Its digest under the repository's name stays with the image, as after a pull by digest: it tells that and
        where the image was published.

        Raises:
            RegistryError: If the registry refuses or cannot be reached, or on `cancel`.
            CredentialsError: If what `docker login` left cannot be read.
            EngineError: If the engine fails, or there is no such image.
        """
        reference = self._reference(tag)

        def once(progress: LayerProgress, telling: Telling, credentials: Credentials | None) -> str:
            response = self._line.request(
                "post",
                f"/images/{self._repository}/push",
                params={"tag": tag},
                auth=self._auth(credentials),
                body={},  # without credentials, engines before Docker 23 read them from here
            )
            self._follow(response, progress, telling)
            if not progress.digest:
                raise EngineError(f"pushing {reference}: the engine does not tell the digest", "push it again")
            return progress.digest

        with self._cancelled(f"pushing {reference}"):
            self._line.check()
        with self._named(image_id, tag):
            digest = self._transfer("push", reference, once)
        self._keep_digest(image_id, digest)
        return digest

    def _transfer(
        self, direction: str, reference: str, once: Callable[[LayerProgress, Telling, Credentials | None], str]
    ) -> str:
        """Tries until it goes well or cannot, telling of it all the while."""
        doing = f"{direction}ing {reference}"
        telling = Telling(self._observe, self._clock, Transfer(direction, reference))
        progress = LayerProgress()
        begun = False
        try:
            with self._cancelled(doing):
                credentials = self._credentials()
                for attempt in range(1, len(_PAUSES_S) + 2):
                    progress = LayerProgress()
                    try:
                        result = once(progress, telling, credentials)
                        break
                    except _RefusedError as refusal:
                        error = self._error(doing, refusal.text, credentials, refusal.status)
                        begun = begun or progress.begun
                        if attempt > len(_PAUSES_S) or not _passes(error, begun):
                            raise error from None
                    pause_s = _PAUSES_S[attempt - 1]
                    telling.again(attempt + 1, f"{error.message}; again in {pause_s:g} s")
                    self._pause(pause_s)
                    self._line.check()
        except SplitdeckError as error:
            telling.end(TransferStatus.FAILED, progress, error.message)
            raise
        progress.finish()
        telling.end(TransferStatus.OK, progress)
        return result

    def _follow(self, response: Any, progress: LayerProgress, telling: Telling) -> None:
        """Reads an answer to its end.

        Raises:
            _RefusedError: If it tells of an error.
        """
        if response.status_code >= 400:
            text = self._line.text(response)
            raise _RefusedError(_message_in(text) or text, response.status_code)
        for message in self._line.messages(response):
            if (failure := _error_in(message)) is not None:
                raise _RefusedError(failure)
            progress.take(message)
            telling.progress(progress)

    @contextmanager
    def _named(self, image_id: str, tag: str) -> Iterator[None]:
        """While the block runs, an image has the repository's name with a tag."""
        reference = self._reference(tag)
        with engine_errors(f"tagging {reference}"):
            before = self._find(reference)
            wanted = self._client.inspect_image(image_id)["Id"]
            if before != wanted:
                self._client.tag(image_id, self._repository, tag, force=True)
        try:
            yield
        finally:
            if before != wanted:
                with engine_errors(f"putting the tag {reference} back"):
                    if before is not None:
                        self._client.tag(before, self._repository, tag, force=True)
                    elif len(self._tags(reference)) > 1:
                        self._client.remove_image(reference, noprune=True)

    def _keep_digest(self, image_id: str, digest: str) -> None:
        """Gives an image its digest under the repository's name, where it does not have it.

        Docker takes it away with the last tag of that name, and Podman gives none to what it pushes. All layers are
        there, so a pull fetches the manifest only. What was pushed is pushed, even if this fails.
        """
        name = f"{self._repository}@{digest}"
        with suppress(SplitdeckError, HungUpError), engine_errors(f"looking for {name}"):
            if name not in (self._client.inspect_image(image_id)["RepoDigests"] or ()):
                params = {"fromImage": self._repository, "tag": digest}
                self._text("post", "/images/create", params=params, auth=self._auth(self._credentials()))

    def _tags(self, reference: str) -> list[str]:
        """All tags of an image; some engines have its digests among them, which do not keep it."""
        return [tag for tag in self._client.inspect_image(reference)["RepoTags"] or () if "@" not in tag]

    def _find(self, reference: str) -> str | None:
        """The ID of an image on the engine."""
        from docker.errors import ImageNotFound

        try:
            return str(self._client.inspect_image(reference)["Id"])
        except ImageNotFound:
            return None

    def _digest_by_list(self, doing: str, tag: str, credentials: Credentials | None) -> str | None:
        """What Podman finds under a tag when it is to become part of a list of images."""
        path = f"{_LIBPOD}/manifests/localhost/splitdeck-look-{os.getpid()}-{secrets.token_hex(4)}:latest"
        status, text = self._text("post", path)
        if status >= 400:
            raise EngineError(f"{doing}: {_message_in(text) or text}")
        try:
            added = {"operation": "update", "images": [f"docker://{self._repository}:{tag}"]}
            status, text = self._text("put", path, body=added, auth=self._auth(credentials))
            if status >= 400:
                self._absent_or_raise(self._error(doing, _message_in(text) or text, credentials))
                return None
            _, text = self._text("get", f"{path}/json")
            return str(json.loads(text)["manifests"][0]["digest"])
        finally:
            with suppress(SplitdeckError):
                after = EngineLine(self._client)  # on ours nothing can be asked after `cancel`
                after.text(after.request("delete", path))

    def _text(self, method: str, path: str, **options: Any) -> tuple[int, str]:
        response = self._line.request(method, path, **options)
        return response.status_code, self._line.text(response)

    def _reference(self, version: str) -> str:
        return f"{self._repository}{'@' if ':' in version else ':'}{version}"

    def _credentials(self) -> Credentials | None:
        try:
            return self._find_credentials(host_of(self._repository), self._line.ended_by)
        except CredentialsError:
            self._line.check()  # a helper that `cancel` has ended gives no answer
            raise

    def _auth(self, credentials: Credentials | None) -> str:
        return auth_header(credentials, host_of(self._repository))

    def _error(self, doing: str, text: str, credentials: Credentials | None, status: int = 0) -> RegistryError:
        secret = credentials.secret if credentials else ""
        return explain(
            text,
            doing=doing,
            repository=self._repository,
            status=status,
            logged_in=credentials is not None,
            secret=secret,
        )

    def _absent_or_raise(self, error: RegistryError) -> None:
        if error.fault is not RegistryFault.ABSENT:
            raise error

    @contextmanager
    def _cancelled(self, doing: str) -> Iterator[None]:
        try:
            yield
        except HungUpError as error:
            raise RegistryError(f"{doing} was cancelled", fault=RegistryFault.CANCELLED) from error


class _RefusedError(Exception):
    """What an engine says of an attempt that went wrong.

    Args:
        text: Its message.
        status: Its HTTP status; 0 in the middle of an answer.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__()
        self.text = text
        self.status = status


def _passes(error: RegistryError, begun: bool) -> bool:
    """Whether it may go well the next time: a registry that has answered and then does not any more may come back."""
    return error.fault is RegistryFault.BROKEN or (error.fault is RegistryFault.OFFLINE and begun)


def _message_in(text: str) -> str | None:
    """What an engine's answer says went wrong; None where it is not an engine's."""
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    return _error_in(answer) if isinstance(answer, Mapping) else None


def _error_in(message: Mapping[str, Any]) -> str | None:
    if isinstance(errors := message.get("errors"), list) and errors:
        return str(errors[0])
    for name in ("error", "message"):
        if isinstance(text := message.get(name), str):
            return text
    return None
