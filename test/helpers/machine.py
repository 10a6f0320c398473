# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What a machine may allow or not: hosts of their own network, another user, a file system that cannot be written."""
import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from conftest import PATIENCE, SAMPLE, Program, wait_until

NOBODY = '65534'
NOWHERE = '/proc/nowhere'  # is not there, and nobody, not even root, can make it
READ = '+dac_read_search'
USER = [] if os.geteuid() == 0 else ['--user', '--map-root-user']  # the way to namespaces for those who are not root
ENTER_USER = [] if os.geteuid() == 0 else ['--user', '--preserve-credentials']

# Prints each picture that comes back: when the camera took it, when it was there, how many bytes. With pictures to send, it is
# the camera too.
VIEWER = """
import array, sys, time
import cv2, rclpy
from sensor_msgs.msg import CompressedImage, Image

namespace, transport, source, rate = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
rclpy.init(args=['--ros-args', '--disable-external-lib-logs'])
node = rclpy.create_node('viewer', namespace=namespace)
kind, topic = (CompressedImage, 'output/compressed') if transport == 'compressed' else (Image, 'output')

def seen(message):
    stamp = message.header.stamp
    print('picture', stamp.sec + stamp.nanosec * 1e-9, time.time(), len(message.data), flush=True)

node.create_subscription(kind, f'segmentation/{topic}', seen, 1)
if transport == 'compressed':
    video, files = cv2.VideoCapture(source), []
    while (frame := video.read()[1]) is not None:
        files.append(array.array('B', cv2.imencode('.jpg', cv2.resize(frame, (640, 480)))[1].tobytes()))
    publisher = node.create_publisher(kind, 'image_raw/compressed', 1)

    def send():
        files.append(files.pop(0))
        message = kind(format='bgr8; jpeg compressed bgr8', data=files[0])
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)

    node.create_timer(1 / rate, send)
rclpy.spin(node)
"""


class NotAllowedError(Exception):
    """This machine does not allow something; the text says what and why."""


def first_possible(what: str, *ways: Callable[[], object]) -> object:
    """
    Return what the first way gives that this machine allows; what kept it from the ones before is said as a warning.

    :param what: that is to be had.
    :param ways: the real thing first, then the nearest; each raises NotAllowedError where it cannot be had. The last always can.
    """
    for way in ways[:-1]:
        try:
            return way()
        except NotAllowedError as error:
            warnings.warn(f'{what}: this machine does not allow it ({error}); the next nearest thing is tested', stacklevel=2)
    return ways[-1]()


def tried(*command: str) -> str:
    """What a command prints; NotAllowedError, with what it complains of, where it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAllowedError(str(error)) from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f'exit code {done.returncode}']
        raise NotAllowedError(f'{command[0]}: {said[-1]}')
    return done.stdout


# ---- users and file systems: each way is what a command begins with

def as_nobody(*more: str) -> list[str]:
    """As a user who owns nothing and may do nothing."""
    if os.geteuid():
        return []  # the tests' own user is one
    command = ['setpriv', '--reuid', NOBODY, '--regid', NOBODY, '--clear-groups', f'--bounding-set=-all{"".join(more)}',
               f'--inh-caps=-all{"".join(more)}', f'--ambient-caps=-all{"".join(more)}']
    look = (f'import json; assert json.__file__ == {json.__file__!r}, "the files of Python cannot be read"\n'
            f'import rclpy, self_segmentation; open({str(SAMPLE)!r}, "rb")')
    tried(*command, sys.executable, '-c', look)
    return command


def as_nobody_who_may_read() -> list[str]:
    """Likewise, but who may read all files: where the interpreter or the checkout is in root's own folder."""
    return as_nobody(f',{READ}')


def read_only() -> list[str]:
    """With every file system read-only but those of the system, and of these /dev with /dev/shm."""
    script = ('while read -r _ place _; do case $place in /dev|/dev/*|/proc|/proc/*|/sys|/sys/*) ;; '
              '*) mount -o remount,bind,ro "$place" || exit 1;; esac; done < /proc/mounts; exec "$@"')
    command = ['unshare', *USER, '--mount', 'sh', '-c', script, 'sh']
    tried(*command, 'sh', '-c', f'for each in /tmp /var/tmp {Path.home()} .; do [ ! -w $each ] || exit 1; done')
    return command


def as_it_is() -> list[str]:
    """As the tests themselves run."""
    return []


# ---- hosts

def without_shared_memory(folder: Path) -> dict[str, str]:
    """
    Return the variables of a process that has UDP only.

    For one that stands still: others that open a port of it in shared memory may find that it does not answer, and remove it.
    """
    profile = folder / 'udp.xml'
    profile.write_text("""<profiles xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles">
      <transport_descriptors><transport_descriptor><transport_id>udp</transport_id><type>UDPv4</type></transport_descriptor>
      </transport_descriptors><participant profile_name="udp" is_default_profile="true"><rtps><userTransports>
      <transport_id>udp</transport_id></userTransports><useBuiltinTransports>false</useBuiltinTransports></rtps></participant>
      </profiles>""")
    return dict.fromkeys(('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'), str(profile))


class TwoHosts:
    """
    Two hosts 'near' and 'far' and the cable between them: network namespaces, each with a /dev/shm of its own.

    They end with this process, whatever becomes of it.
    """

    NAMES = ('near', 'far')
    ADDRESSES = {'near': '10.77.0.1/24', 'far': '10.77.0.2/24'}
    environment: dict[str, str] = {}

    def __init__(self) -> None:
        self._holders: dict[str, subprocess.Popen] = {}
        try:
            tried('ip', '-Version')
            self._make('near', ['unshare', *USER])
            inside = [*self._into('near'), *ENTER_USER, 'unshare'] if ENTER_USER else ['unshare']
            self._make('far', inside)
            self._run('near', 'ip', 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable',
                      'netns', str(self._holders['far'].pid))
            for name, address in self.ADDRESSES.items():
                self._run(name, 'ip', 'address', 'add', address, 'dev', 'cable')
                self._run(name, 'ip', 'link', 'set', 'cable', 'up')
        except NotAllowedError:
            self.close()
            raise
        # Fast DDS takes no notice of a network that comes up later.
        wait_until(lambda: all('state UP' in self._run(name, 'ip', 'link', 'show', 'cable') for name in self.NAMES), 'the cable')

    def _make(self, name: str, command: list[str]) -> None:
        script = 'mount -t tmpfs -o mode=1777 tmpfs /dev/shm && ip link set lo up && echo made && exec cat'
        holder = subprocess.Popen([*command, '--net', '--mount', 'sh', '-c', script], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._holders[name] = holder
        if holder.stdout.readline() != 'made\n':
            raise NotAllowedError(holder.communicate()[1].strip())

    def _into(self, name: str) -> list[str]:
        return ['nsenter', '--target', str(self._holders[name].pid)]

    def _run(self, name: str, *command: str) -> str:
        return tried(*self.at(name), *command)

    def at(self, name: str) -> list[str]:
        """What a command begins with that is to run on a host."""
        return [*self._into(name), *ENTER_USER, '--net', '--mount']

    def sent(self, name: str) -> int:
        """Bytes that went from a host into the cable so far."""
        [line] = [line for line in self._run(name, 'cat', '/proc/net/dev').splitlines() if 'cable:' in line]
        return int(line.split(':')[1].split()[8])

    def cut(self, far: Program) -> None:
        self._run('near', 'ip', 'link', 'set', 'cable', 'down')

    def mend(self, far: Program) -> None:
        self._run('near', 'ip', 'link', 'set', 'cable', 'up')

    def slow(self, **rates: str) -> None:
        """Let no more through than so much from each host, as tc writes it; '' for no limit. NotAllowedError without sch_tbf."""
        for name, rate in rates.items():
            limit = ['replace', 'dev', 'cable', 'root', 'tbf', 'rate', rate, 'burst', '64kb', 'latency', '50ms']
            self._run(name, 'tc', 'qdisc', *(limit if rate else ['delete', 'dev', 'cable', 'root']))

    def close(self) -> None:
        for holder in self._holders.values():
            holder.stdin.close()
            holder.wait(PATIENCE)


class OneHost:
    """The nearest to two hosts: one, whose processes have nothing but UDP between them."""

    def __init__(self, folder: Path) -> None:
        self.environment = without_shared_memory(folder)

    def at(self, name: str) -> list[str]:
        return []

    def sent(self, name: str) -> int:
        lines = Path('/proc/net/dev').read_text().splitlines()
        return sum(int(line.split(':')[1].split()[8]) for line in lines[2:])

    def cut(self, far: Program) -> None:
        """No cable is there: what is on the far host stands still."""
        far.send(signal.SIGSTOP)

    def mend(self, far: Program) -> None:
        far.send(signal.SIGCONT)

    def slow(self, **rates: str) -> None:
        raise NotAllowedError('one host has no cable')

    def close(self) -> None:
        pass
