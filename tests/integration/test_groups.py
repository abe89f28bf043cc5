"""Consumer groups, judged by their users: librdkafka, kafka-python and kcat divide the partitions of a topic among
themselves, take over from each other, and go on where the group stands, also when the hub is killed."""

import collections
import subprocess

import confluent_kafka
import pytest
from kafka import KafkaAdminClient, KafkaConsumer

import raw
from clients import TIMEOUT_S, kcat, new_consumer, send
from node import run, wait_until
from security import metric

PARTITIONS = 6
SESSION_MS = 120000  # nobody's ends only because the machine is slow


@pytest.fixture
def hub(node, free_port, tmp_path):
    return node({
        "node": {"name": "hub", "id": 1, "run": str(tmp_path / "run")},
        "listen": [{"address": f"127.0.0.1:{free_port()}"}],
        "broker": {"groups": {"session_min": "1s"}},
        "topics": {"web": {"partitions": PARTITIONS}},
    }, "hub").start()


class Member:
    """A consumer that is polled by the test; what it got counts as done when it is committed."""

    def __init__(self, hub, **options):
        self.consumer = new_consumer(hub, **{"auto_offset_reset": "earliest", "enable_partition_eof": False,
                                             "session_timeout_ms": SESSION_MS, "heartbeat_interval_ms": 500,
                                             **options})
        self.partitions = set()
        self.got = []
        self.consumer.subscribe(["web"], on_assign=self.on_assign, on_revoke=self.on_revoke)

    def on_assign(self, consumer, partitions):
        self.partitions = {one.partition for one in partitions}
        consumer.assign(partitions)

    def on_revoke(self, consumer, partitions):
        self.commit()
        self.partitions = set()
        consumer.unassign()

    def commit(self):
        try:
            self.consumer.commit(asynchronous=False)
        except confluent_kafka.KafkaException as error:
            if error.args[0].code() != confluent_kafka.KafkaError._NO_OFFSET:
                raise

    def poll(self, wait_s=0.05):
        message = self.consumer.poll(wait_s)
        while message is not None:
            if message.error() is None:
                self.got.append((message.partition(), message.offset(), message.value()))
            message = self.consumer.poll(0)


def kcat_member(hub):
    return subprocess.Popen(["kcat", "-q", "-b", hub.bootstrap, "-G", "g", "-X", "session.timeout.ms=6000",
                             "-X", "heartbeat.interval.ms=300", "web"], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def poll_until(members, condition, what):
    def step():
        for member in members:
            member.poll()
        return condition()
    wait_until(step, what=what)


def shares(members):
    return sorted(len(member.partitions) for member in members)


def settled(members):
    """Each partition is somebody's, and nobody's twice."""
    owned = collections.Counter(one for member in members for one in member.partitions)
    return len(owned) == PARTITIONS and set(owned.values()) == {1}


def produce(hub, begin, end):
    for partition in range(PARTITIONS):
        send(hub, "web", [b"%d" % number for number in range(begin, end)], partition=partition)


def got(members):
    return collections.Counter((part, value) for member in members for part, _, value in member.got)


def expected(begin, end):
    return collections.Counter((part, b"%d" % number) for part in range(PARTITIONS) for number in range(begin, end))


@pytest.mark.parametrize("strategy", ["range", "roundrobin"])
def test_members_divide_the_work_and_take_over(hub, strategy):
    members = [Member(hub, group_id="g", partition_assignment_strategy=strategy) for _ in range(3)]
    poll_until(members, lambda: settled(members) and shares(members) == [2, 2, 2], "three equal parts")
    produce(hub, 0, 100)
    poll_until(members, lambda: sum(got(members).values()) >= 100 * PARTITIONS, "all records")
    gone = members.pop()
    gone.commit()
    gone.consumer.close()
    produce(hub, 100, 200)
    everybody = [*members, gone]
    poll_until(members, lambda: sum(got(everybody).values()) >= 200 * PARTITIONS, "the rest")
    poll_until(members, lambda: settled(members) and shares(members) == [3, 3], "two equal parts")
    assert got(everybody) == expected(0, 200), "each record once, by somebody"
    for member in members:
        member.consumer.close()


def test_members_give_back_only_what_moves(hub):
    """KIP-429."""
    members = [new_consumer(hub, group_id="g", partition_assignment_strategy="cooperative-sticky",
                            enable_partition_eof=False) for _ in range(3)]
    for member in members:
        member.subscribe(["web"])

    def parts():
        for member in members:
            member.poll(0.05)
        return sorted(len(member.assignment()) for member in members)
    wait_until(lambda: parts() == [2, 2, 2], what="three equal parts")
    members.pop().close()
    wait_until(lambda: parts() == [3, 3], what="two equal parts")
    for member in members:
        member.close()


def test_a_group_outlives_kill_9_of_the_hub(hub):
    """Its members go on with the parts that they have: no record is left out, none comes twice."""
    members = [Member(hub, group_id="g") for _ in range(2)]
    poll_until(members, lambda: settled(members) and shares(members) == [3, 3], "equal parts")
    before = [set(member.partitions) for member in members]
    for turn in range(3):
        produce(hub, turn * 50, turn * 50 + 50)
        count = (turn + 1) * 50 * PARTITIONS
        poll_until(members, lambda count=count: sum(got(members).values()) >= count, "the records")
        for member in members:
            member.commit()
        hub.kill()
        hub.start()
    produce(hub, 150, 200)
    poll_until(members, lambda: sum(got(members).values()) >= 200 * PARTITIONS, "the records after the last kill")
    assert got(members) == expected(0, 200)
    assert [set(member.partitions) for member in members] == before, "nobody had to divide anew"
    for member in members:
        member.consumer.close()


def test_a_static_member_comes_back_to_its_part(hub):
    options = {"group_id": "static"}
    stays = Member(hub, **options, group_instance_id="one")
    leaves = Member(hub, **options, group_instance_id="two")
    poll_until([stays, leaves], lambda: settled([stays, leaves]) and shares([stays, leaves]) == [3, 3], "equal parts")
    part, rest = set(leaves.partitions), set(stays.partitions)
    leaves.consumer.close()  # a static member does not say that it leaves
    back = Member(hub, **options, group_instance_id="two")
    poll_until([stays, back], lambda: back.partitions, "its part")
    assert back.partitions == part
    assert stays.partitions == rest
    for member in (stays, back):
        member.consumer.close()


def test_who_is_killed_is_replaced(hub):
    """kcat is killed, and says nothing: its session ends, and another has all of the partitions."""
    stays = Member(hub, group_id="g")
    poll_until([stays], lambda: settled([stays]), "all partitions")
    other = kcat_member(hub)
    try:
        poll_until([stays], lambda: len(stays.partitions) == PARTITIONS // 2, "half of them")
    finally:
        other.kill()
        other.wait()
    poll_until([stays], lambda: len(stays.partitions) == PARTITIONS, "all of them again")
    assert metric(hub, "millrace_group_expired_members_total") >= 1
    stays.consumer.close()


def test_kcat_reads_as_a_member(hub):
    produce(hub, 0, 20)
    arguments = ("-q", "-G", "k", "-X", "auto.offset.reset=earliest", "-e", "web")
    first = kcat(hub, *arguments)
    assert first.returncode == 0, first.stderr
    assert sorted(first.stdout.split()) == sorted(str(number) for number in range(20) for _ in range(PARTITIONS))
    send(hub, "web", [b"new"])
    assert kcat(hub, *arguments).stdout.split() == ["new"], "it goes on where the group stands"


def test_kafka_python_reads_as_a_member(hub):
    produce(hub, 0, 20)
    options = {"bootstrap_servers": hub.bootstrap, "group_id": "py", "auto_offset_reset": "earliest",
               "consumer_timeout_ms": TIMEOUT_S * 1000, "session_timeout_ms": SESSION_MS}
    consumer = KafkaConsumer("web", **options)
    seen = [next(consumer).value for _ in range(20 * PARTITIONS)]
    assert sorted(seen) == sorted(b"%d" % number for number in range(20) for _ in range(PARTITIONS))
    admin = KafkaAdminClient(bootstrap_servers=hub.bootstrap)
    assert ("py", "consumer") in admin.list_consumer_groups()
    group = admin.describe_consumer_groups(["py"])[0]
    assert (group.state, group.protocol_type, group.protocol) == ("Stable", "consumer", "range")
    assert [member.client_host for member in group.members] == ["127.0.0.1"]
    assert group.members[0].member_assignment.partitions() == [("web", list(range(PARTITIONS)))] or \
        group.members[0].member_assignment.assignment == [("web", list(range(PARTITIONS)))]
    code = dict((name, error.errno) for name, error in admin.delete_consumer_groups(["py"]))
    assert code == {"py": 68}, "NON_EMPTY_GROUP"
    consumer.commit()
    consumer.close()
    group = admin.describe_consumer_groups(["py"])[0]
    assert (group.state, group.members) == ("Empty", [])
    assert dict((name, error.errno) for name, error in admin.delete_consumer_groups(["py"])) == {"py": 0}
    assert "py" not in dict(admin.list_consumer_groups())
    admin.close()


def test_the_command_line_shows_members(hub):
    member = Member(hub, group_id="shown", client_id="reader-7", group_instance_id="seven")
    poll_until([member], lambda: settled([member]), "all partitions")
    shown = run("groups", "members", "shown", "--data", hub.data)
    assert shown.returncode == 0, shown.stderr
    for word in ("reader-7", "seven", "127.0.0.1", "web:0,1,2,3,4,5"):
        assert word in shown.stdout
    assert "Stable" in run("groups", "--data", hub.data).stdout
    refused = run("groups", "delete", "--yes", "shown", "--data", hub.data)
    assert refused.returncode != 0 and "NON_EMPTY_GROUP" in refused.stderr
    member.consumer.close()


def test_half_a_member_is_forgotten(hub):
    """Clients that ask for an id and never come again leave nothing behind."""
    body = raw.string("h") + (6000).to_bytes(4, "big") * 2 + raw.string("") + b"\xff\xff" + \
        raw.string("consumer") + (1).to_bytes(4, "big") + raw.string("range") + (0).to_bytes(4, "big")
    with raw.Peer(hub.ports[0]) as peer:
        for _ in range(100):
            answer = peer.call(11, 5, body)
            assert int.from_bytes(answer[4:6], "big") == 79, "MEMBER_ID_REQUIRED"
    wait_until(lambda: metric(hub, "millrace_group_groups") == 0, what="the group to be forgotten")
