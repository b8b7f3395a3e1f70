"""Key sets from elsewhere: over HTTPS, from the host that was named, within time and size; all else is refused."""

import asyncio
import gzip
import time

import pytest

from auditd.identity import IssuerConfig, key_source
from auditd.identity._http import FetchError, max_age_s
from auditd.identity._urls import check_url
from tests.providers import running_provider, self_signed

ISSUER = "https://idp.example.com"


@pytest.fixture(scope="module")
def provider():
    with running_provider() as running:
        yield running


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def source(url, **settings):
    settings = {"issuer": ISSUER, "allow_plain_http": True, "jwks_timeout_s": 1, **settings}
    return key_source(IssuerConfig(jwks_url=url, **settings))


async def kids(url, **settings):
    return [key.kid for key in (await source(url, **settings).fetch()).key_set.keys]


async def refusal(url, **settings):
    with pytest.raises(FetchError) as caught:
        await source(url, **settings).fetch()
    return str(caught.value)


async def test_keys_are_fetched(provider):
    assert await kids(provider.publish("a", "b")) == ["a", "b"]


# Time, size, form


async def test_endpoint_that_hangs_before_it_answers(provider):
    started = time.monotonic()
    assert await refusal(provider.hang("/hang")) == "no answer within 1 s"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("after", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"])
async def test_endpoint_that_hangs_within_its_answer(provider, after):
    assert await refusal(provider.hang("/half", after=after)) == "no answer within 1 s"


async def test_endpoint_that_drips_has_no_longer_time(provider):
    assert await refusal(provider.drip("/drip")) == "no answer within 1 s"


async def test_ten_megabytes_are_not_read(provider):
    url = provider.say("/large", b" " * 10_000_000)
    assert await refusal(url, jwks_timeout_s=10) == "answers more than 524288 bytes, which is the limit"


async def test_endless_answer_is_cut_at_the_limit(provider):
    def answer(request):
        request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not provider.released.is_set():
            request.wfile.write(b" " * 65_536)

    provider.answers["/endless"] = answer
    assert "524288" in await refusal(provider.url + "/endless", jwks_timeout_s=10)


async def test_compressed_bomb_is_not_unpacked(provider):
    bomb = gzip.compress(b" " * 50_000_000)
    assert "compressed" in await refusal(provider.say("/bomb", bomb, Content_Encoding="gzip"))


async def test_html_is_no_key_set(provider):
    url = provider.say("/html", "<html><body>Sign in</body></html>", Content_Type="text/html")
    assert (await refusal(url)).startswith("not JSON")


@pytest.mark.parametrize("status", [204, 206, 401, 404, 500, 503])
async def test_only_status_200_is_an_answer(provider, status):
    url = provider.say("/status", b"" if status == 204 else provider.jwks("a"), status)
    assert await refusal(url) == f"answers with status {status}, expected 200"


async def test_what_is_no_http_at_all(provider):
    provider.answers["/noise"] = lambda request: request.wfile.write(b"\x00\xffSSH-2.0-OpenSSH\r\n\r\n")
    assert (await refusal(provider.url + "/noise")).startswith("cannot be reached")


async def test_port_that_nobody_listens_on():
    with running_provider() as gone:
        url = gone.publish("a")
    assert (await refusal(url)).startswith("cannot be reached")


async def test_private_keys_are_refused_and_not_repeated(provider):
    secret = "c2VjcmV0LXNlY3JldA"
    jwks = provider.jwks("a")[:-3] + f', "d": "{secret}"}}]}}'.encode()
    message = await refusal(provider.say("/private", jwks))
    assert "keys[0].d: a private key" in message
    assert secret not in message


async def test_duplicate_key_names_are_refused(provider):
    jwks = b'{"keys": [' + b", ".join(provider.jwks("a")[10:-2] for _ in range(2)) + b"]}"
    assert "kid 'a' names two keys" in await refusal(provider.say("/twice", jwks))


async def test_more_keys_than_anyone_has_are_refused(provider):
    assert "keys: 101, limit 100" in await refusal(provider.publish(*(f"k{n}" for n in range(101)), path="/many"))


# Redirects


async def test_redirect_within_the_host_is_followed(provider):
    provider.publish("moved", path="/new")
    assert await kids(provider.redirect("/old", "/new")) == ["moved"]


async def test_redirect_to_another_host_is_not_followed(provider):
    with running_provider() as other:
        url = provider.redirect("/away", other.publish("stolen"))
        assert "another host" in await refusal(url)
        assert other.asked == []


@pytest.mark.parametrize(
    "target",
    ["https://127.0.0.1/jwks", "file:///etc/passwd", "//evil.example/jwks", "http://[::1/", "http://127.0.0.1:99999/x"],
)
async def test_redirect_to_what_is_no_such_host(provider, target):
    assert await refusal(provider.redirect("/odd", target))


async def test_redirect_in_a_circle_ends(provider):
    before = len(provider.asked)
    assert await refusal(provider.redirect("/circle", "/circle")) == "redirects more than 3 times"
    assert len(provider.asked) - before == 4


# TLS


async def test_https_with_a_certificate_that_is_vouched_for(tmp_path):
    file, tls = self_signed(tmp_path)
    with running_provider(tls=tls) as secure:
        assert await kids(secure.publish("a"), ca_file=file) == ["a"]


async def test_https_with_a_strangers_certificate(tmp_path):
    _, tls = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    other, _ = self_signed(tmp_path / "other")
    with running_provider(tls=tls) as secure:
        for trusted in ({}, {"ca_file": other}):
            assert "certificate verify failed" in await refusal(secure.publish("a"), **trusted)
        assert secure.asked == []


async def test_https_with_a_certificate_for_another_host(tmp_path):
    file, tls = self_signed(tmp_path, "127.0.0.2")
    with running_provider(tls=tls) as secure:
        assert "certificate verify failed" in await refusal(secure.publish("a"), ca_file=file)


async def test_missing_ca_file_is_a_failure_like_any_other(tmp_path):
    assert (await refusal("https://127.0.0.1:1/jwks", ca_file=tmp_path / "none")).startswith("cannot be reached")


# Addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example.com/jwks",
        "http://10.0.0.1/jwks",
        "http://localhost.example.com/jwks",
        "http://127.0.0.1@evil.example/jwks",
        "https://user:password@idp.example.com/jwks",
        "ftp://idp.example.com/jwks",
        "file:///etc/passwd",
        "https://",
        "https:///jwks",
        "idp.example.com/jwks",
        "https://idp.example.com:99999/jwks",
        "https://idp.example.com/a b",
        "https://idp.example.com/jwks#part",
        "https://idp.exämple.com/jwks",
        "https://[::1/jwks",
        "https://idp.example.com\\@evil.example/",
        "https://" + "a" * 2_048,
        "",
    ],
    ids=lambda url: url[:40],
)
def test_address_that_may_not_be_asked(url):
    for allowed in (False, True):
        with pytest.raises(ValueError, match=r"expected|allowed|port|Invalid"):
            check_url(url, allow_plain_http=allowed)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/jwks", "http://[::1]/jwks", "http://localhost/jwks"])
def test_plain_http_is_for_loopback_and_only_when_asked_for(url):
    check_url(url, allow_plain_http=True)
    with pytest.raises(ValueError, match="allow_plain_http"):
        check_url(url, allow_plain_http=False)


# How long they are good


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"cache-control": "public"}, None),
        ({"cache-control": "max-age=600"}, 600),
        ({"cache-control": "Public, MAX-AGE=600, must-revalidate"}, 600),
        ({"cache-control": 'max-age="600"'}, 600),
        ({"cache-control": "s-maxage=600"}, None),
        ({"cache-control": "max-age=600, max-age=5"}, 600),
        ({"cache-control": "max-age=600", "age": "100"}, 500),
        ({"cache-control": "max-age=600", "age": "1000"}, 0),
        ({"cache-control": "max-age=600", "age": "soon"}, 600),
        ({"cache-control": "no-store"}, 0),
        ({"cache-control": "no-cache, max-age=600"}, 0),
        ({"cache-control": "max-age=-1"}, None),
        ({"cache-control": "max-age=99999999999999999999"}, None),
        ({"cache-control": "max-age=1e9"}, None),
    ],
    ids=str,
)
def test_cache_control_is_read(headers, expected):
    assert max_age_s(headers) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [(None, 3_600), ("max-age=0", 60), ("no-store", 60), ("max-age=600", 600), ("max-age=999999", 3_600)],
)
async def test_what_the_provider_says_counts_within_floor_and_ceiling(provider, said, expected):
    url = provider.publish("a", path="/aged", **({"Cache_Control": said} if said else {}))
    assert (await source(url).fetch()).next_in_s == expected


@pytest.mark.parametrize("off_s", [-600, 0, 600])
async def test_how_far_its_clock_is_off_is_noticed(provider, off_s):
    def answer(request):
        request.date_time_string = lambda: time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + off_s))
        normal(request)

    url = provider.publish("a", path="/clock")
    normal, provider.answers["/clock"] = provider.answers["/clock"], answer
    assert (await source(url).fetch()).clock_ahead_s == pytest.approx(off_s, abs=5)


# Discovery


def discovery(provider, issuer=None):
    issuer = issuer or provider.url
    return key_source(IssuerConfig(issuer=issuer, discovery=True, allow_plain_http=True, jwks_timeout_s=1))


WELL_KNOWN = "/.well-known/openid-configuration"


@pytest.mark.parametrize("path", ["", "/", "/realms/acme", "/realms/acme/"])
async def test_discovery_finds_the_keys(provider, path):
    issuer = provider.url + path
    metadata = f'{{"issuer": "{issuer}", "jwks_uri": "{provider.publish("found")}"}}'
    provider.say(path.removesuffix("/") + WELL_KNOWN, metadata)
    assert [key.kid for key in (await discovery(provider, issuer).fetch()).key_set.keys] == ["found"]


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ('{"issuer": "https://evil.example", "jwks_uri": "URL"}', "metadata: issuer: 'https://evil.example'"),
        ('{"issuer": "ISSUER/", "jwks_uri": "URL"}', "metadata: issuer"),
        ('{"jwks_uri": "URL"}', "metadata: issuer: a NoneType"),
        ('{"issuer": "ISSUER"}', "metadata: jwks_uri: missing"),
        ('{"issuer": "ISSUER", "jwks_uri": 7}', "metadata: jwks_uri: missing or no string"),
        ('{"issuer": "ISSUER", "jwks_uri": "http://169.254.169.254/keys"}', "metadata: jwks_uri: plain http"),
        ('{"issuer": "ISSUER", "jwks_uri": "file:///etc/passwd"}', "metadata: jwks_uri: expected a URL"),
        ('{"issuer": "ISSUER", "issuer": "ISSUER", "jwks_uri": "URL"}', "metadata: member 'issuer' given twice"),
        ("<html>", "metadata: not JSON"),
        ("[]", "metadata: not a JSON object"),
    ],
    ids=lambda value: value[:50],
)
async def test_metadata_that_is_not_believed(provider, metadata, why):
    metadata = metadata.replace("ISSUER", provider.url).replace("URL", provider.publish("a"))
    provider.say(WELL_KNOWN, metadata)
    with pytest.raises(FetchError) as caught:
        await discovery(provider).fetch()
    assert str(caught.value).startswith(why)


# Files


def file_source(path):
    return key_source(IssuerConfig(issuer=ISSUER, jwks_file=path))


async def test_file_is_read_again_only_when_it_has_changed(provider, tmp_path):
    path = tmp_path / "jwks.json"
    path.write_bytes(provider.jwks("a"))
    keys = file_source(path)
    assert [key.kid for key in (await keys.fetch()).key_set.keys] == ["a"]
    assert (await keys.fetch()).key_set is None
    (tmp_path / "new").write_bytes(provider.jwks("b"))
    (tmp_path / "new").replace(path)
    assert [key.kid for key in (await keys.fetch()).key_set.keys] == ["b"]


async def test_file_that_was_bad_is_bad_until_it_changes(provider, tmp_path):
    path = tmp_path / "jwks.json"
    path.write_bytes(provider.jwks("a")[:-5])
    keys = file_source(path)
    for _ in range(2):
        with pytest.raises(FetchError, match="not JSON"):
            await keys.fetch()
    path.write_bytes(provider.jwks("a"))
    assert (await keys.fetch()).key_set is not None


async def test_missing_file_says_so(tmp_path):
    with pytest.raises(FetchError, match="cannot be read: No such file"):
        await file_source(tmp_path / "none").fetch()


async def test_fetching_lets_others_have_their_turn(provider):
    attempt = asyncio.ensure_future(refusal(provider.hang("/hang")))
    turns = 0
    while not attempt.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 20
