"""Events of set sizes for measurements, with fresh random values where real ones have them."""

from __future__ import annotations

from base64 import b32encode, urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from demo._names import time_text, uuid7
from demo._session import JsonObject

ACCOUNT = "123456789012"
PEOPLE = tuple(f"user-{number:02}" for number in range(40))
ACTIONS = ("record.view", "record.update", "record.search", "user.login", "token.issue", "token.revoke")
CALLS = (
    ("ec2", "DescribeVpcClassicLinkDnsSupport", "vpcId", "vpc-"),
    ("ec2", "DescribeSecurityGroups", "groupId", "sg-"),
    ("ec2", "DescribeNatGateways", "natGatewayId", "nat-"),
    ("ec2", "DescribeInstanceAttribute", "instanceId", "i-"),
    ("ec2", "DescribeNetworkInterfaces", "networkInterfaceId", "eni-"),
    ("ec2", "GetPasswordData", "instanceId", "i-"),
    ("ec2", "RunInstances", "subnetId", "subnet-"),
    ("iam", "ListAttachedRolePolicies", "roleName", "example-role-"),
    ("kms", "Decrypt", "encryptionContext", "example-key-"),
    ("lambda", "GetFunction20150331v2", "functionName", "example-function-"),
    ("logs", "DescribeLogGroups", "logGroupNamePrefix", "/aws/lambda/example-"),
    ("s3", "GetBucketEncryption", "bucketName", "example-bucket-"),
    ("secretsmanager", "GetSecretValue", "secretId", "example-secret-"),
    ("ssm", "ListTagsForResource", "resourceId", "/credentials/example-"),
    ("sts", "AssumeRole", "roleArn", f"arn:aws:iam::{ACCOUNT}:role/example-"),
)
AGENTS = tuple(
    f"APN/1.0 HashiCorp/1.0 Terraform/1.{minor}.2 (+https://www.terraform.io) "
    f"terraform-provider-aws/4.{67 - minor}.0 aws-sdk-go/1.44.{261 - minor} (go1.19.8; linux; amd64)"
    for minor in range(6)
)


def generate_small(seed: int, n: int, now: datetime | None = None) -> Iterator[JsonObject]:
    """Yield `n` events of 500 bytes of compact JSON, give or take ten, a millisecond apart, the last now."""
    random = Random(seed)
    for moment in _moments(n, now):
        resource = random.randrange(10**5, 10**6)
        yield {
            "id": uuid7(random, moment),
            "time": time_text(moment),
            "tenant": "acme",
            "action": random.choice(ACTIONS),
            "outcome": random.choices(("SUCCESS", "FAILURE"), (19, 1))[0],
            "actor": {
                "type": "user",
                "id": random.choice(PEOPLE),
                "session_id": f"s-{random.getrandbits(64):016x}",
                "auth_method": "webauthn",
            },
            "resources": [{"type": "account", "id": str(resource)}],
            "origin": {
                "ip": f"10.20.{random.randrange(4)}.{random.randrange(100, 255)}",
                "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101",
                "method": "GET",
                "endpoint": f"/accounts/{resource}",
                "request_id": f"req-{random.getrandbits(64):016x}",
            },
            "attributes": {"mfa": True, "ms": random.randrange(100, 500)},
        }


def generate_cloudtrail(seed: int, n: int, now: datetime | None = None) -> Iterator[JsonObject]:
    """Yield `n` events as an import of CloudTrail files makes them, of 1,260 bytes of JSON on average.

    They compress about as well as real ones do, and lie a millisecond apart, the last now.
    """
    random = Random(seed)
    for moment in _moments(n, now):
        identity = _identity(random, moment)
        service, call, parameter, prefix = random.choice(CALLS)
        denied = random.random() < 0.03
        yield {
            "id": str(UUID(int=random.getrandbits(128))),
            "time": time_text(moment),
            "tenant": ACCOUNT,
            "action": f"{service}.{call}",
            "outcome": "DENIED" if denied else "SUCCESS",
            **({"reason": _denial(random)} if denied else {}),
            "actor": {"type": identity["type"], "id": identity["arn"], "session_id": identity["accessKeyId"]},
            "origin": {
                "ip": f"192.168.{random.randrange(16)}.{random.randrange(1, 255)}",
                "user_agent": random.choice(AGENTS),
                "request_id": str(UUID(int=random.getrandbits(128))),
            },
            "attributes": {
                "eventVersion": "1.08",
                "userIdentity": identity,
                "awsRegion": random.choice(("us-east-1", "eu-west-1", "eu-central-1")),
                "requestParameters": {parameter: f"{prefix}{random.getrandbits(68):017x}"},
                "responseElements": None if random.random() < 0.6 else {"_return": True, "id": _key(random)},
                "readOnly": not call.startswith("Run"),
                "managementEvent": True,
                "tlsDetails": {"clientProvidedHostHeader": f"{service}.us-east-1.amazonaws.com"},
            },
        }


def _identity(random: Random, moment: datetime) -> JsonObject:
    person = random.choice(PEOPLE)
    session = random.randrange(10**18, 10**19)
    return {
        "type": "AssumedRole",
        "principalId": f"AROAEXAMPLE{person[-2:]}:{session}",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{person}/{session}",
        "accountId": ACCOUNT,
        "accessKeyId": f"ASIA{_key(random)}",
        "sessionContext": {
            "sessionIssuer": {"arn": f"arn:aws:iam::{ACCOUNT}:role/{person}", "userName": person},
            "attributes": {
                "creationDate": time_text(moment - timedelta(seconds=random.randrange(3600))),
                "mfaAuthenticated": "false",
            },
        },
    }


def _key(random: Random) -> str:
    return b32encode(random.randbytes(10)).decode()


def _denial(random: Random) -> str:
    message = urlsafe_b64encode(random.randbytes(450)).decode()
    return f"Client.UnauthorizedOperation: Encoded authorization failure message: {message}"


def _moments(n: int, now: datetime | None) -> Iterator[datetime]:
    last = now or datetime.now(UTC)
    return (last - timedelta(milliseconds=left) for left in range(n - 1, -1, -1))
