# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Every tunable, once: name, type, default, range or choices, unit and one sentence.

ROS parameters, command-line options, the shipped YAML and the table of docs/parameters.md all come from here.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .errors import SettingsError, masked
from .resources import data_path, read_file

__all__ = ['BOOLEANS', 'LEAST_TO_HIDE', 'LOOKS', 'SHOWS_PEOPLE', 'TUNABLES', 'Settings', 'Tunable', 'imply_type', 'load_yaml',
           'look_file', 'no_section_for', 'read_yaml', 'unknown_name']

BOOLEANS = {**dict.fromkeys(('true', '1', 'on', 'yes'), True), **dict.fromkeys(('false', '0', 'off', 'no'), False)}
LOOKS = ('tutorial', 'default', 'meeting', 'privacy', 'cutout')  # settings that go together, each a file
_GROUPS = ('background', 'camera', 'depth', 'edge', 'mask', 'people', 'privacy', 'roi', 'temporal')
_ROS_KEY = 'ros__parameters'
_NODES = ('**', '*', 'segmentation')
_OF_ROS = ('use_sim_time', 'start_type_description_service')  # what ROS declares for every node
_LARGEST_YAML = 128 << 10  # bytes; config/segmentation.yaml has 5 kB
_MOST_NAMES = 1000  # in a YAML
_LONGEST = 500  # characters of a value in a message
_MOST_LISTED = 5  # names in a message
_NEAREST = 3  # names that are offered for one that is unknown
_NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?', re.ASCII)
_COLOR = re.compile(r'\s*[\[(]?\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*[\])]?\s*', re.ASCII)
_HEX_COLOR = re.compile(r'\s*#([0-9a-fA-F]{6})\s*', re.ASCII)
_LOGGER = logging.getLogger('self_segmentation.settings')
Value = bool | int | float | str | tuple[int, ...]
LEAST_TO_HIDE = 0.15  # fraction of the frame's height: a face that fills it has 7 cells then, one across a room less than one
_FOREIGN = ('image', 'video', 'topic')  # types before which a line of the old background shows most
SHOWS_PEOPLE = ('none', 'topic')  # types that may show what replace = people must not
_HIDING = ('replace', ('people',))
_GUIDED, _BILATERALS = ('edge.filter', ('guided',)), ('edge.filter', ('bilateral', 'joint_bilateral'))


@dataclasses.dataclass(frozen=True)
class Tunable:
    """
    One thing that can be tuned.

    ``name`` is the dotted ROS parameter name, ``attribute`` the field of :class:`Settings`. The type is
    that of ``default``; a tuple is a colour, three integers red, green, blue in 0..255. ``node`` is true for what means
    something to the ROS node only, ``read_only`` for what is decided when it starts. ``fallback`` is taken at start-up in
    the place of a value that is wrong, where that is not the default. ``step`` is that between two allowed values of a whole
    number. ``file`` is ``read`` or ``written`` where the value is a
    path. ``acts_with`` is another setting's name, and the values of that with which this one has an effect.
    """

    name: str
    attribute: str
    default: Value
    text: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    step: int = 1
    choices: tuple[str, ...] = ()
    node: bool = False
    read_only: bool = False
    fallback: Value | None = None
    file: str = ''
    acts_with: tuple[str, tuple[Value, ...]] | None = None

    @property
    def allowed(self) -> str:
        """What may be given, in words."""
        if self.choices:
            return ', '.join(self.choices)
        if isinstance(self.default, bool):
            return 'true or false'
        if isinstance(self.default, tuple):
            return 'three whole numbers red, green, blue, each from 0 to 255'
        if isinstance(self.default, str):
            return 'text'
        number = 'a whole number' if isinstance(self.default, int) else 'a number'
        return '{} from {:g} to {:g}'.format(number, *self.limits) + (f' in steps of {self.step}' if self.step > 1 else '')

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest allowed number."""
        return -math.inf if self.minimum is None else self.minimum, math.inf if self.maximum is None else self.maximum

    def checked(self, value: Any, origin: str = '') -> Value:
        """
        Return ``value`` in the tunable's own type.

        An integer is taken for a float, as is a text such as 3e-05, which YAML does not take for a number. A colour is any
        sequence of three integers, or a text: ``0,128,0``, ``[0, 128, 0]`` or ``#008000``.

        :raises ValueError: naming the value, its origin and what is allowed.
        """
        kind = type(self.default)
        fitting: Value = value
        is_number = type(value) is int and self._is_within_limits(value)  # none of more digits than a float takes
        if kind is float and (is_number or (isinstance(value, str) and _NUMBER.fullmatch(value))):
            fitting = float(value)
        elif kind is tuple and isinstance(value, str):
            fitting = _color(value)
        elif kind is tuple and isinstance(value, Sequence):
            fitting = tuple(value)
        if not self._fits(fitting):
            where = f' (from {origin})' if origin else ''
            hint = ', as 0,128,0 or #008000' if kind is tuple else ''
            if kind is tuple and value is None:
                hint += '; in YAML, # begins a comment without quotes: "#008000"'
            raise ValueError(f'{self.name} = {_shown(value)}{where} is not allowed: it takes {self.allowed}{hint}')
        return fitting

    def from_text(self, text: str, origin: str = '') -> Value:
        """
        Return the value that a text stands for.

        :raises ValueError: naming the text, its origin and what is allowed.
        """
        kind: type = type(self.default)
        value: Any = text
        try:
            if kind is bool:
                value = BOOLEANS.get(text.lower(), text)
            elif kind is not tuple:
                value = kind(text)
        except ValueError:
            pass  # the text itself is no allowed value, and that is what the message shows
        return self.checked(value, origin)

    def _fits(self, value: Any) -> bool:
        if type(value) is not type(self.default):
            return False
        if self.choices:
            return value in self.choices
        if isinstance(value, tuple):
            return len(value) == 3 and all(type(item) is int and 0 <= item <= 255 for item in value)
        if isinstance(value, (bool, str)):
            return True
        return self._is_within_limits(value) and (self.step == 1 or (value - self.limits[0]) % self.step == 0)

    def _is_within_limits(self, value: float) -> bool:
        least, greatest = self.limits
        return least <= value <= greatest


def _color(text: str) -> Value:
    """Return the three numbers of a colour's text; of what is none, the text."""
    if found := _HEX_COLOR.fullmatch(text):
        return tuple(bytes.fromhex(found[1]))
    found = _COLOR.fullmatch(text)
    return tuple(map(int, found.groups())) if found else text


def _shown(value: Any) -> str:
    """Return a value as it stands in a message: of a very long one, its ends."""
    try:
        text = masked(repr(value))
    except ValueError:  # Python writes no whole number of more than 4300 digits
        text = 'a number of very many digits'
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST // 2]} ... {text[-_LONGEST // 2:]}'


def _tunable(default: Value, text: str, **more: Any) -> Any:
    return dataclasses.field(default=default, metadata={'text': text, **more})


@dataclasses.dataclass(frozen=True)
class Settings:
    """
    All settings of the pipeline, checked as a whole, never changed in place.

    :raises SettingsError: naming every value that is wrong and what is allowed.
    """

    model: str = _tunable('general', 'Which model: general (256x256), landscape (256x144, faster), or the path of '
                                     'another selfie segmentation .tflite file.', file='read')
    runtime: str = _tunable('auto', 'What runs the models; auto takes LiteRT, or MediaPipe where LiteRT cannot be used.',
                            choices=('auto', 'litert', 'mediapipe'), read_only=True)
    flip: bool = _tunable(True, 'Mirror the picture left to right, as a mirror shows it.')
    threshold: float = _tunable(0.5, 'Keep what is more likely than this to be a person; smaller keeps more edge.',
                                unit='probability', minimum=0.0, maximum=1.0)
    softness: float = _tunable(0.5, 'Width of the soft edge around the threshold; 0 cuts hard, 1 uses every probability.',
                               minimum=0.0, maximum=1.0)
    replace: str = _tunable('background', 'What is replaced: the background, so that people stay, or people, so that the room '
                                          'stays and nobody is seen in it.', choices=('background', 'people'), fallback='people')
    image_transport: str = _tunable('raw', 'How the camera images come: raw (sensor_msgs/Image on image_raw) or compressed '
                                           '(JPEG or PNG, sensor_msgs/CompressedImage on image_raw/compressed).',
                                    choices=('raw', 'compressed'), node=True)
    mask_values: str = _tunable('binary', 'Values of ~/mask: binary (0, 255), class (0 background, 1 person) or instance (0 '
                                          'background, else the id of the person modulo 254, plus 1).',
                                choices=('binary', 'class', 'instance'), node=True)
    mask_width: int = _tunable(0, 'Width of ~/mask and ~/confidence; 0 is that of the picture.', unit='pixels', minimum=0,
                               maximum=16384, node=True)
    mask_always: bool = _tunable(False, 'Publish a mask also for a frame that cannot be used: empty, or full where people are '
                                        'replaced.', node=True)
    depth_slop: float = _tunable(0.03, 'How far the stamps of a depth image and of a camera image may be apart.', unit='seconds',
                                 minimum=0.0, maximum=1.0, node=True)
    depth_margin: int = _tunable(3, "Width of the border at people's edges that neither depth image keeps.",
                                 unit='pixels of the depth image', minimum=0, maximum=50, node=True)
    tf: bool = _tunable(False, 'Publish a TF frame person_ID for each person whose depth is known.', node=True)
    jpeg_quality: int = _tunable(90, 'Quality of ~/output/compressed.', minimum=1, maximum=100, node=True)
    autostart: bool = _tunable(True, 'Whether the node configures and activates itself at its start; without it a lifecycle '
                                     'manager does.', node=True, read_only=True)
    save_dir: str = _tunable('~/self_segmentation', 'Folder in which ~/save writes its PNG files.', node=True, file='written')
    camera_rotation: int = _tunable(0, 'Turn the picture clockwise before anything else, and with it all results; 180 for a '
                                       'camera that hangs upside down.', unit='degrees', minimum=0, maximum=270, step=90)
    people_detector: bool = _tunable(True, 'Look for people with a person detector and segment only where they are; without '
                                           'it the model always sees the full frame, as in the MediaPipe tutorial.')
    people_score: float = _tunable(0.25, 'Score from which one look of the detector is enough; who scores less is looked at '
                                         'again from close up.', minimum=0.08, maximum=0.95)
    people_interval: int = _tunable(4, 'Frames between two looks of the detector while the image changes where nobody is '
                                       'known; eight times as many while it does not, fifteen times where somebody is known.',
                                    unit='frames', minimum=2, maximum=100)
    people_who: str = _tunable('all', 'Who counts: everybody, the largest person, or the one nearest to the middle of the frame; '
                                      'the others are background.', choices=('all', 'largest', 'central'))
    people_smallest: float = _tunable(0.03, 'Height of a person who counts, at least.', unit="fraction of the frame's height",
                                      minimum=0.0, maximum=1.0)
    people_most: int = _tunable(3, 'Inferences of the segmentation model for a frame of a video, at most: where people stand in '
                                   'more places, these take turns.', minimum=1, maximum=16)
    roi_margin: float = _tunable(0.15, 'Room around a person in the region of interest.',
                                 unit="fraction of the person's longer side", minimum=0.05, maximum=0.5)
    temporal_smoothing: float = _tunable(0.7, 'Weight of the last mask where nothing moves; 0 is off.', unit='weight',
                                         minimum=0.0, maximum=0.95)
    temporal_hysteresis: float = _tunable(0.25, 'How far beyond the threshold a pixel that does not move must go to change '
                                                'sides; 0 is off.', unit='probability', minimum=0.0, maximum=0.4)
    temporal_motion_threshold: float = _tunable(6.0, 'A change from frame to frame up to this is noise, and from twice this on '
                                                     'motion.', unit='grey levels', minimum=1.0, maximum=64.0)
    temporal_background_penalty: float = _tunable(0.45, 'Taken from the probability of a pixel that looks like the background '
                                                        'seen there before; 0 is off.', unit='probability',
                                                  minimum=0.0, maximum=1.0)
    temporal_hold_time: float = _tunable(1.5, 'How long a person whom the model loses is kept while something still stands '
                                              'before the known background; 0 is off.', unit='seconds',
                                         minimum=0.0, maximum=10.0)
    edge_filter: str = _tunable('guided', 'How the edge of the mask is smoothed; guided and joint_bilateral follow the edges '
                                          'of the picture.', choices=('none', 'guided', 'bilateral', 'joint_bilateral'))
    edge_radius: int = _tunable(1, 'Reach of the guided filter.', unit="steps of 4 pixels of the model's map",
                                minimum=1, maximum=8, acts_with=_GUIDED)
    edge_epsilon: float = _tunable(1.4, 'Regularisation of the guided filter: edges of the image fainter than this do not '
                                        'hold the edge of the mask.', unit='grey levels', minimum=0.25, maximum=80.0,
                                  acts_with=_GUIDED)
    edge_diameter: int = _tunable(9, 'Diameter of the bilateral filters.', unit='pixels of the frame', minimum=1, maximum=49,
                                  acts_with=_BILATERALS)
    edge_sigma_space: float = _tunable(4.0, 'How far the bilateral filters reach.', unit='pixels of the frame',
                                       minimum=0.1, maximum=200.0, acts_with=_BILATERALS)
    edge_sigma_mask: float = _tunable(0.1, 'How different in the mask two pixels may be and still be smoothed together '
                                           '(bilateral).', unit='probability', minimum=0.001, maximum=1000.0,
                                      acts_with=('edge.filter', ('bilateral',)))
    edge_sigma_color: float = _tunable(12.0, 'How different in the picture two pixels may be and still be smoothed '
                                             'together (joint_bilateral).', unit='grey levels', minimum=0.1, maximum=1000.0,
                                       acts_with=('edge.filter', ('joint_bilateral',)))
    edge_preset: bool = _tunable(True, 'Take the old background out of the edge as if edge.decontaminate were 1, where an image, '
                                       'a video or a topic is put behind and it is 0.')
    edge_decontaminate: float = _tunable(0.0, 'How much of the old background is taken out of the colours of the edge, of the '
                                              'hair above all; 0 is off.', minimum=0.0, maximum=1.0)
    edge_light_wrap: float = _tunable(0.0, "How much of the new background's light falls on the edge; 0 is off.",
                                      minimum=0.0, maximum=1.0)
    background_type: str = _tunable('color', 'What is put in the place of the background, or of people.',
                                    choices=('color', 'image', 'blur', 'pixelate', 'video', 'topic', 'transparent', 'clean_plate',
                                             'none'))
    background_color: tuple[int, ...] = _tunable((192, 192, 192), 'Colour of the background, of the bars beside an image that is '
                                                                  'fitted with contain, and of what has no other yet.',
                                                 unit='red, green, blue')
    background_image: str = _tunable('', 'Path of the image that background.type image shows; an animated GIF or WebP plays.',
                                     file='read', acts_with=('background.type', ('image',)))
    background_video: str = _tunable('', 'Path of the video that background.type video plays, over and over.',
                                     file='read', acts_with=('background.type', ('video',)))
    background_fit: str = _tunable('cover', 'How image, video and topic are fitted to the frame: cover fills it and crops, '
                                            'contain shows all of it, stretch distorts, tile repeats it at its own size.',
                                   choices=('cover', 'contain', 'stretch', 'tile'),
                                   acts_with=('background.type', _FOREIGN))
    background_blur: float = _tunable(0.025, 'Standard deviation of background.type blur; at least '
                                             f'{LEAST_TO_HIDE} where people are replaced.', unit="fraction of the frame's height",
                                      minimum=0.002, maximum=0.5, acts_with=('background.type', ('blur',)))
    background_cell: float = _tunable(0.04, 'Side of the cells of background.type pixelate; at least '
                                            f'{LEAST_TO_HIDE} where people are replaced.', unit="fraction of the frame's height",
                                      minimum=0.005, maximum=1.0, acts_with=('background.type', ('pixelate',)))
    privacy_margin: float = _tunable(0.03, 'What is covered around people where people are replaced.',
                                     unit="fraction of the person's height", minimum=0.0, maximum=0.5, acts_with=_HIDING)
    privacy_proof: float = _tunable(30.0, 'How long something that differs from the known scene, or a place not known yet, must '
                                          'not move, where people are replaced, until the detector may prove that it is nobody.',
                                    unit='seconds', minimum=5.0, maximum=600.0, acts_with=_HIDING)
    privacy_hold: float = _tunable(0.5, 'How long a place stays covered after a person was last seen there, where people are '
                                        'replaced.', unit='seconds', minimum=0.0, maximum=10.0, acts_with=_HIDING)
    privacy_before: float = _tunable(1.0, 'How long before a person is found a place is covered already, where people are '
                                          'replaced in a video file or a recording; 0 is off.', unit='seconds', minimum=0.0,
                                     maximum=10.0, acts_with=_HIDING)
    privacy_delay: float = _tunable(0.0, 'The same for the node, which publishes each frame that much later; 0 is off.',
                                    unit='seconds', minimum=0.0, maximum=3.0, node=True, acts_with=_HIDING)

    @property
    def hides_people(self) -> bool:
        """Whether people are replaced, and not the background."""
        return self.replace == 'people'

    def __post_init__(self) -> None:
        self._refuse({t.attribute: getattr(self, t.attribute) for t in TUNABLES.values()}, '')

    def _refuse(self, values: Mapping[str, Any], origin: str) -> None:
        problems = {}
        for tunable in TUNABLES.values():
            try:
                object.__setattr__(self, tunable.attribute, tunable.checked(values[tunable.attribute], origin))
            except ValueError as error:
                problems[tunable.name] = str(error)
        problems = problems or dict(self._conflicts())
        if problems:
            raise SettingsError(problems)

    def _conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield what does not fit together, by the setting that has to change."""
        for kind, path in (('image', self.background_image), ('video', self.background_video)):
            if self.background_type == kind and not path:
                article = 'an' if kind == 'image' else 'a'
                yield 'background.type', (f'background.type = {kind!r} needs background.{kind}, the path of {article} {kind}: '
                                          'set that first')
        if self.hides_people:
            if self.background_type in SHOWS_PEOPLE:
                yield 'background.type', (f'background.type = {self.background_type!r} may show the people whom replace = '
                                          "'people' hides: it takes " + ', '.join(
                                              kind for kind in TUNABLES['background.type'].choices if kind not in SHOWS_PEOPLE))
            if not self.people_detector:
                yield 'people.detector', ("people.detector = False does not go with replace = 'people', which needs the person "
                                          'detector: it takes true')

    @property
    def decontamination(self) -> float:
        """What ``edge.decontaminate`` amounts to with the type of background that is set, 0..1."""
        has_preset = self.edge_preset and self.background_type in _FOREIGN
        return self.edge_decontaminate or float(has_preset)

    def updated(self, changes: Mapping[str, Any], origin: str = '') -> Settings:
        """
        Return new settings with ``changes``, a mapping of dotted names to values.

        :param origin: where the values came from, for the message.
        :raises SettingsError: an unknown name, or a value that is not allowed.
        """
        problems: dict[str, str] = {}
        fields: dict[str, Any] = {}
        for name, value in changes.items():
            tunable = TUNABLES.get(name)
            if tunable is None:
                problems[name] = unknown_name(name, origin)
                continue
            try:
                fields[tunable.attribute] = tunable.checked(value, origin)
            except ValueError as error:
                problems[name] = str(error)
        if problems:
            raise SettingsError(problems)
        return dataclasses.replace(self, **fields)

    def without_effect(self, names: Collection[str]) -> str:
        """Return why none of these settings has an effect as the others are; empty where one has."""
        reasons = []
        for name in names:
            acts_with = TUNABLES[name].acts_with
            if acts_with is None:
                return ''
            other, values = acts_with
            now = getattr(self, TUNABLES[other].attribute)
            if now in values:
                return ''
            reasons.append(f'{name} has no effect while {other} is {now}: set {other} to {" or ".join(map(str, values))}')
        return '; '.join(reasons)

    def items(self) -> Iterator[tuple[str, Value]]:
        """Iterate over the dotted names and their values."""
        return ((name, getattr(self, tunable.attribute)) for name, tunable in TUNABLES.items())


def look_file(look: str) -> Path:
    """Return the path of the YAML file of one of :data:`LOOKS`."""
    return data_path('config', 'segmentation.yaml' if look == 'default' else f'{look}.yaml')


def imply_type(values: dict[str, Any]) -> None:
    """Set ``background.type`` where only the file of a background is given: what else would it be given for."""
    for kind in ('image', 'video'):
        if f'background.{kind}' in values:
            values.setdefault('background.type', kind)


def unknown_name(name: str, origin: str = '', known: Collection[str] = ()) -> str:
    """
    Return the message for an unknown parameter name, with the nearest that are known.

    :param known: names; none: those of the settings.
    """
    known = known or TUNABLES
    near = difflib.get_close_matches(name, known, n=1)
    hint = f'did you mean {near[0]}?' if near else (
        'the nearest are ' + ', '.join(difflib.get_close_matches(name, known, n=_NEAREST, cutoff=0.0)))
    return f'{_cut(name)}{f" (from {origin})" if origin else ""} is not a known parameter: {hint}'


def _dotted(attribute: str) -> str:
    group, _, rest = attribute.partition('_')
    return f'{group}.{rest}' if group in _GROUPS else attribute


TUNABLES: dict[str, Tunable] = {
    _dotted(f.name): Tunable(_dotted(f.name), f.name, getattr(Settings, f.name), **f.metadata)
    for f in dataclasses.fields(Settings)
}


class _Loader(yaml.SafeLoader):
    """
    YAML without aliases, as ROS 2 reads it: a few of them can stand for more values than any memory holds.

    What PyYAML's constructors trip over, a date that is none or ``!!bool maybe``, is refused with its place.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError('an alias (*name) stands there, which ROS 2 parameter files do not know')
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            problem = f'{_shown(node.value)} is not a valid {node.tag.rpartition(":")[2]}'
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def load_yaml(path: str | Path) -> Any:
    """
    Return the content of a YAML file.

    :raises SettingsError: the file cannot be read, or is not YAML as ROS 2 reads it.
    """
    try:
        return yaml.load(read_file(path, _LARGEST_YAML).decode(), _Loader)
    except OSError as error:
        raise SettingsError({'config': f'configuration {path}: {error.strerror or error}'}) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place, reason = '', str(error)
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
            place, reason = f', line {error.problem_mark.line + 1}', f'{error.problem}'
        raise SettingsError({'config': f'configuration {path}{place}: not YAML: {reason}'}) from error


def read_yaml(path: str | Path) -> dict[str, Any]:
    """
    Read a ROS 2 parameter file: ``NODE: ros__parameters: {name: value, group: {name: value}}``.

    ``ros2 param dump`` writes it too. Names of nodes may be nested, as namespaces are. The sections of other nodes than ``/**``
    and ``segmentation`` are passed over, and where none is ours, a line in the log says so. So is what belongs to ROS itself
    (``use_sim_time``, ``qos_overrides``). Nothing is checked but the form; give the result to :meth:`Settings.updated`.

    :returns: dotted name to value.
    :raises SettingsError: the file cannot be read or has another form.
    """
    def fail(reason: str) -> SettingsError:
        return SettingsError({'config': f'configuration {path}: {reason}'})

    sections = list(_sections(load_yaml(path)))
    wrong = next((node for node, section in sections if not isinstance(section, dict)), None)
    if wrong is not None:
        raise fail(f"takes the form of a ROS 2 parameter file, '/**:' then '{_ROS_KEY}:' then the settings"
                   + (f'; {_shown(wrong)} has them not' if wrong else ''))
    values: dict[str, Any] = {}
    ours = [section for node, section in sections if node.rpartition('/')[2] in _NODES]
    for section in ours:
        values.update(_flat(section))
    if not ours:
        _LOGGER.warning('configuration %s: nothing is taken from it: it is for %s, and this is segmentation', path,
                        _listed([node for node, _ in sections]))
    if len(values) > _MOST_NAMES:
        raise fail(f'has {len(values)} names, and there are {len(TUNABLES)} settings')
    return {name: value for name, value in values.items() if name not in _OF_ROS and not name.startswith('qos_overrides.')}


def no_section_for(node: str, path: str | Path, taken: Collection[str] | None = None) -> str:
    """
    Return what to report where no section of a ROS 2 parameter file is for a node: ROS leaves its parameters as they are.

    :param node: its full name. In a section's name ``*`` stands for one name and ``**`` for any number of them.
    :param taken: the names of parameters that the node was given, if they are known.
    :returns: a sentence; empty where a section is for the node.
    :raises SettingsError: the file cannot be read.
    """
    names = []
    for name, section in _sections(load_yaml(path)):
        parts = [{'**': r'(/\w+)*', '*': r'/\w+'}.get(part, '/' + re.escape(part)) for part in name.split('/') if part]
        given = {each for each, _ in _flat(section)} if isinstance(section, dict) else set()
        if re.fullmatch(''.join(parts), node) and (taken is None or not given or given & {*taken}):
            return ''
        names.append(str(name))
    return (f'parameter file {path}: nothing is taken from it: it is for {_listed(names)}, and this is {node}; '
            f'name the section {node} or /**')


def _listed(names: list[str]) -> str:
    names = [*dict.fromkeys(names)]
    more = f' and {len(names) - _MOST_LISTED} more' if len(names) > _MOST_LISTED else ''
    return _cut(', '.join(names[:_MOST_LISTED])) + more


def _sections(tree: Any, node: str = '') -> Iterator[tuple[str, Any]]:
    """Yield each node of a parameter file with its parameters; with None where there are none, or where something else stands."""
    if not isinstance(tree, dict) or not tree:
        yield node, None
        return
    for key, value in tree.items():
        if key != _ROS_KEY:
            yield from _sections(value, f'{node}/{key}'.replace('//', '/') if node else str(key))
        elif value is None and node.rpartition('/')[2] not in _NODES:
            yield node, {}  # of another node, which has none
        else:
            yield node, value


def _flat(tree: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value
