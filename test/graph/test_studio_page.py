# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""The studio in a real browser: Chromium without a window, the nodes as they are."""
import json
import re
import shlex
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ASTRONAUT, SAMPLE, unique, wait_until, why_no_browser
from ros import Segmentation
from studio import chromium

pytestmark = pytest.mark.skipif(bool(why_no_browser()), reason=f'no browser: {why_no_browser()}')

# A node of another package: every type of parameter, a range, pictures, a snapshot, and people who are covered if asked.
OTHER = """
import rclpy
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

rclpy.init()
node = Node('other')
for name, value in {'whole': 5, 'truth': True, 'words': 'a "b" \\'c\\'', 'numbers': [0.5, 2.0], 'names': ['x', 'y z'],
                    'tiny': 1e-7, 'replace': 'background'}.items():
    node.declare_parameter(name, value)
node.declare_parameter('gain', 2.0, ParameterDescriptor(description='How much.', floating_point_range=[
    FloatingPointRange(from_value=0.0, to_value=4.0)]))
node.add_on_set_parameters_callback(lambda changes: SetParametersResult(
    successful=all(each.value != 13 for each in changes), reason='thirteen brings bad luck'))
picture = Image(encoding='bgr8', width=64, height=48, step=192, data=bytes([0, 0, 200]) * 3072)
outputs = [node.create_publisher(Image, topic, 1) for topic in ('~/output', 'camera')]
node.create_subscription(Image, 'image_raw', lambda _: None, 1)

def publish():
    picture.header.stamp = node.get_clock().now().to_msg()
    for output in outputs:
        output.publish(picture)

def answer(request, response):
    response.success, response.message = True, '/tmp/snapshot ' + str(getattr(request, 'data', ''))
    return response

node.create_timer(0.05, publish)
node.create_service(Trigger, '~/save', answer)
node.create_service(SetBool, '~/pause', answer)
rclpy.spin(node)
"""

# The same, with parameters that no control fits: without values, of changing types, too long, with descriptions of another form.
STRANGE = OTHER.replace('rclpy.spin(node)', """
from rclpy.parameter import Parameter
texts = ['red, green, blue', '; ;', 'a, b', 'default 1e999', 'default {"a": NaN}', 'default [1, "x", null]', 'x' * 100000]
for number, text in enumerate(texts):
    limits = [FloatingPointRange(from_value=float('-inf') if number % 2 else 3.0, to_value=3.0)]
    for kind in (Parameter.Type.INTEGER_ARRAY, Parameter.Type.STRING, Parameter.Type.DOUBLE):
        node.declare_parameter(f'{kind.name}.{number}', kind, ParameterDescriptor(
            additional_constraints=text, floating_point_range=limits))
    node.declare_parameter(f'any.{number}', 5, ParameterDescriptor(dynamic_typing=True, additional_constraints=text))
node.declare_parameter('long', 'x' * 1000000)
node.declare_parameter('large', [2 ** 62, -2 ** 63])
node.declare_parameter('bytes', [bytes([255])])
node.declare_parameter('endless', [float('inf'), float('nan')])
values = [[1, 2, 3], 'a text', 2.5, True, 7, ['a'], [True], [0.5], []]

def change():
    if not node.get_parameter('truth').value:
        values.append(values.pop(0))
        node.set_parameters([Parameter(f'any.{name}', value=values[0]) for name in node.get_parameters_by_prefix('any')])

node.create_timer(0.5, change)
rclpy.spin(node)
""")


class Page:
    """A page of the studio, seen by a user."""

    def __init__(self, page, url: str) -> None:
        self.page, self.errors = page, []
        page.on('console', lambda message: self.errors.append(message.text) if message.type == 'error' else None)
        page.on('pageerror', lambda error: self.errors.append(str(error)))
        page.goto(url)

    def wait(self, condition, what: str) -> None:
        wait_until(condition, what, lambda: self.page.wait_for_timeout(30))

    @property
    def frames(self) -> int:
        return int(self.page.evaluate("document.getElementById('stage').dataset.frames ?? 0"))

    def wait_for_pictures(self, count: int = 3) -> None:
        end = self.frames + count
        self.wait(lambda: self.frames >= end, 'pictures')

    def wait_for_the_wipe(self) -> None:
        """The node's input is known once it subscribes to its camera."""
        self.wait(lambda: self.page.locator('figure[data-kind=input]:not([hidden])').count(), 'input and output')

    def wait_for_parameters(self) -> None:
        self.wait(lambda: self.page.locator('.row').count(), 'the parameters')

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def field(self, name: str, kind: str = 'input'):
        """The control of a parameter, where it can be seen."""
        row = self.page.locator(f'[id="row-{name}"]')
        row.evaluate("row => { row.closest('details').open = true; }")
        return row.locator(kind).first

    def show(self, view: str) -> None:
        self.page.locator('#views label', has_text=re.compile(f'^{view}$')).click()

    def brightness(self, kind: str) -> float:
        """Mean of a picture that is shown."""
        return self.page.evaluate("""kind => {
            const canvas = document.querySelector(`figure[data-kind="${kind}"] canvas`);
            if (!canvas?.width) return -1;
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let sum = 0;
            for (let at = 0; at < data.length; at += 4) sum += data[at] + data[at + 1] + data[at + 2];
            return sum / data.length * 4 / 3;
        }""", kind)


@pytest.fixture(scope='module')
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def browse(browser):
    """Open pages; none of them may have had an error."""
    pages = []

    def browse(url: str, width: int = 1280, height: int = 800, **more) -> Page:
        context = browser.new_context(viewport={'width': width, 'height': height}, **more)
        pages.append(Page(context.new_page(), url))
        return pages[-1]

    yield browse
    for page in pages:
        page.page.context.close()
    assert [error for page in pages for error in page.errors if 'WebSocket connection' not in error] == []


def started_studio(start, *arguments: str, port: int = 0, **parameters):
    """A running studio, and its address."""
    program = start('studio_node', '--ros-args', *arguments, '-p', f'port:={port}',
                    *(part for name, value in parameters.items() for part in ('-p', f'{name}:={value}')))
    wait_until(lambda: 'open http' in program.said or program.code is not None, 'the start of the studio')
    return program, re.search(r'open (http\S+)', program.said).group(1)


class Nodes:
    """A camera that shows one person, the segmentation node and the studio, of one namespace."""

    def __init__(self, graph, start, source: Path = ASTRONAUT) -> None:
        self.start, self.namespace = start, unique('page')
        self.program = self.start_node()
        self.camera = start.node('camera_node', self.namespace, video_device=source, framerate='5.0')
        self.node = Segmentation(graph, self.namespace, self.program, kinds=())
        self.name = self.node.name
        self.studio, self.url = started_studio(start, node=self.name)

    def start_node(self, *arguments: str):
        return self.start.node('segmentation_node', self.namespace, *arguments, flip='false')


@pytest.fixture(scope='module')
def shared_nodes(shared_graph, start_shared):
    return Nodes(shared_graph, start_shared)


@pytest.fixture
def nodes(shared_nodes):
    """The nodes with the default settings, not mirrored."""
    from self_segmentation.settings import Settings

    shared_nodes.node.restore(Settings().updated({'flip': False}))
    return shared_nodes


@pytest.fixture
def page(nodes, browse):
    page = browse(nodes.url)
    page.wait_for_the_wipe()
    return page


# ---- the picture

def test_picture_moves_and_subscribes_only_while_seen(graph, start, browse):
    nodes = Nodes(graph, start, source=SAMPLE)

    def subscribers() -> int:
        graph.spin()
        return graph.node.count_subscribers(f'{nodes.name}/output') + graph.node.count_subscribers('/parameter_events')

    graph.wait_until(lambda: subscribers() == 0, 'quiet')
    page = browse(nodes.url)
    page.wait_for_pictures()
    assert page.page.locator('#node').input_value() == nodes.name
    seen = set()
    page.wait(lambda: seen.add(round(page.brightness('output'), 1)) or len(seen) > 3, 'a picture that moves')
    assert page.text('#message') == ''
    page.page.evaluate("""Object.defineProperty(document, 'hidden', { get: () => true, configurable: true });
                          document.dispatchEvent(new Event('visibilitychange'))""")
    graph.wait_until(lambda: graph.node.count_subscribers(f'{nodes.name}/output') == 0, 'the end of what a hidden page took')
    page.page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_pictures()
    page.page.goto('about:blank')
    graph.wait_until(lambda: subscribers() == 0, 'quiet again')


def test_shows_all_pictures_or_one(page):
    page.show('All')
    page.wait(lambda: page.page.locator('figure:not([hidden])').count() == 4, 'four pictures')
    page.show('Alpha')
    page.wait(lambda: page.page.locator('figure:not([hidden])').count() == 1, 'one picture')
    assert page.page.locator('figure').get_attribute('data-kind') == 'alpha'


def test_wipe_between_input_and_output(page):
    def boxes() -> list[dict | None]:
        return [page.page.locator(f'figure[data-kind={kind}]').bounding_box() for kind in ('input', 'output')]

    page.wait(lambda: None not in boxes() and boxes()[0] == boxes()[1], 'both pictures in one place')
    wipe = page.page.locator('#wipe')
    box = wipe.bounding_box()
    page.page.mouse.click(box['x'] + box['width'] * 0.2, box['y'] + box['height'] * 0.3)
    assert 17 < float(wipe.input_value()) < 23
    wipe.press('ArrowRight')
    assert page.page.evaluate("getComputedStyle(document.querySelector('figure[data-kind=input]')).clipPath").startswith('inset(')


def test_mirrors_input_with_output(nodes, page):
    corner = """() => { const canvas = document.querySelector('figure[data-kind=input] canvas');
                        return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, 1).data.slice(0, 400)].join(); }"""
    before = page.page.evaluate(corner)
    assert nodes.node.change(flip=True) == []
    page.wait(lambda: page.page.evaluate(corner) != before, 'a mirrored input')


def test_turns_input_with_output(nodes, page):
    row = """(from) => { const canvas = document.querySelector('figure[data-kind=input] canvas');
                       const [x, y] = from ? [canvas.width - 100, canvas.height - 1] : [0, 0];
                       return [...canvas.getContext('2d').getImageData(x, y, 100, 1).data]; }"""
    last = np.array(page.page.evaluate(row, True)).reshape(-1, 4)
    assert np.abs(np.array(page.page.evaluate(row, False)).reshape(-1, 4) - last[::-1]).mean() > 10
    assert nodes.node.change(camera__rotation=180) == []
    page.wait(lambda: np.abs(np.array(page.page.evaluate(row, False)).reshape(-1, 4) - last[::-1]).mean() < 5, 'a turned input')


def test_boxes_and_ids_on_demand(nodes, page, graph):
    graph.wait_until(lambda: graph.node.count_subscribers(f'{nodes.name}/people') == 0, 'nobody to ask for them')
    page.page.locator('#people').click()
    page.wait(lambda: page.page.locator('figure[data-kind=output] .box').count() == 1, 'the person')
    height, picture, number = page.page.locator('figure[data-kind=output]').evaluate(
        "figure => [figure.querySelector('.box').offsetHeight, figure.offsetHeight, figure.querySelector('.box').innerText]")
    assert 0.3 < height / picture <= 1.05 and number.isdigit()
    page.page.locator('#people').click()
    page.wait(lambda: page.page.locator('.box').count() == 0, 'no boxes')


# ---- parameters

def test_dragging_threshold_changes_mask(nodes, page):
    page.show('Mask')
    page.wait_for_pictures()
    kept = page.brightness('mask')
    box = page.field('threshold', '.slider').bounding_box()
    y = box['y'] + box['height'] / 2
    page.page.mouse.move(box['x'] + box['width'] / 2, y)
    page.page.mouse.down()
    for step in range(10):
        page.page.mouse.move(box['x'] + box['width'] * (0.5 + 0.049 * step), y)
    page.page.mouse.up()
    page.wait(lambda: 0.9 < nodes.node.values()['threshold'] < 1, 'the threshold')
    page.wait(lambda: nodes.node.values()['threshold'] == float(page.field('threshold').input_value()), 'the same value')
    page.wait(lambda: 0 <= page.brightness('mask') < kept - 0.5, 'a smaller mask')
    page.wait(lambda: page.page.locator('#count').inner_text() == '2', 'the count, with flip')
    page.page.locator('[id="row-threshold"] .back').click()
    page.wait(lambda: nodes.node.values()['threshold'] == 0.5, 'the default')


def test_refused_value_shows_reason_and_old_value(nodes, page):
    field = page.field('threshold')
    field.fill('2')
    field.press('Enter')
    page.wait(lambda: 'takes a number from 0 to 1' in page.text('[id="row-threshold"] .refused'), 'the reason')
    page.wait(lambda: field.input_value() == '0.5', 'the old value')
    assert nodes.node.values()['threshold'] == 0.5
    field.fill('0.4')
    field.press('Enter')
    page.wait(lambda: nodes.node.values()['threshold'] == 0.4, 'the value')
    page.wait(page.page.locator('[id="row-threshold"] .refused').is_hidden, 'the end of the reason')


def test_every_control_sets_its_parameter(nodes, page):
    page.field('people.detector').click()
    page.field('background.color').evaluate("well => { well.value = '#0080ff'; well.dispatchEvent(new Event('input')); }")
    page.field('people.who', 'label:has(input[value=largest])').click()
    page.field('edge.filter', 'select').select_option('bilateral')
    page.field('people.most').fill('5')
    page.field('people.most').press('Enter')
    page.field('model').fill('landscape')
    page.field('model').press('Enter')
    wanted = {'people.detector': False, 'background.color': (0, 128, 255), 'people.who': 'largest', 'edge.filter': 'bilateral',
              'people.most': 5, 'model': 'landscape'}
    page.wait(lambda: nodes.node.values().items() >= wanted.items(), 'all of them')
    page.wait(lambda: page.page.locator('#count').inner_text() == '7', 'the count')
    page.page.locator('#reset').click()
    page.wait(lambda: nodes.node.values()['model'] == 'general' and nodes.node.values()['flip'], 'the defaults')
    page.page.locator('.note button').last.click()
    page.wait(lambda: nodes.node.values().items() >= {**wanted, 'flip': False}.items(), 'them back')


def test_follows_changes_of_others_in_two_browsers(nodes, page, browse):
    other = browse(nodes.url)
    other.wait_for_parameters()
    assert nodes.node.change(softness=0.25) == []
    for each in (page, other):
        each.wait(lambda: each.field('softness').input_value() == '0.25', 'what another set')  # noqa: B023
    other.field('softness').fill('0.75')
    other.field('softness').press('Enter')
    page.wait(lambda: page.field('softness').input_value() == '0.75', 'what the other browser set')
    for each in (page, other):
        each.wait_for_pictures()


def test_search_finds_parameters(page):
    page.page.keyboard.press('/')
    page.page.keyboard.type('guided radius')
    page.wait(lambda: page.page.locator('.row:visible').count() == 1, 'one parameter')
    assert page.page.locator('.row:visible').get_attribute('id') == 'row-edge.radius'
    page.page.locator('#search').fill('no such thing')
    assert page.page.locator('#nothing').is_visible()
    page.page.locator('#search').fill('')
    page.page.locator('#changed').check(force=True)
    assert page.page.locator('.row:visible').count() == 1  # flip


def test_look_and_background_with_undo(nodes, page):
    page.page.locator('#looks button', has_text='Tutorial').click()
    page.wait(lambda: nodes.node.values()['threshold'] == 0.1 and not nodes.node.values()['people.detector'], 'the look')
    page.page.locator('.note button').last.click()
    page.wait(lambda: nodes.node.values()['threshold'] == 0.5, 'it taken back')
    page.page.locator('#backgrounds button').first.click()
    page.wait(lambda: nodes.node.values()['background.type'] == 'image', 'the background')
    assert nodes.node.values()['background.image'].endswith('/demo/backgrounds/backdrop.jpg')
    page.wait(lambda: page.page.locator('#backgrounds button[aria-pressed=true]').count() == 1, 'the mark')
    assert page.page.locator('#backgrounds img').first.evaluate('image => image.decode().then(() => image.naturalWidth)') == 240


def test_saved_yaml_starts_same_settings(nodes, page, graph, start, tmp_path):
    assert nodes.node.change(threshold=1.0, edge__sigma_mask=0.001, background__color=[1, 2, 3], people__who='central',
                             people__most=4) == []
    page.wait(lambda: page.field('people.most').input_value() == '4', 'the settings')
    with page.page.expect_download() as download:
        page.page.locator('#save').click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == 'segmentation.yaml' and yaml.safe_load(file.read_text())['/**']['ros__parameters']['threshold'] == 1.0
    namespace = unique('saved')
    program = start.node('segmentation_node', namespace, '--params-file', file)
    saved = Segmentation(graph, namespace, program, kinds=())
    assert saved.values() == nodes.node.values() and 'ERROR' not in program.said


def test_copied_commands_set_changes(nodes, page):
    assert nodes.node.change(threshold=1.0, background__color=[1, 2, 3], people__who='central') == []
    page.wait(lambda: page.page.locator('#count').inner_text() == '4', 'the changes')
    page.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")  # as on a page without https
    page.page.locator('#copy').click()
    lines = [shlex.split(line) for line in page.page.locator('#text textarea').input_value().splitlines()]
    assert {tuple(line[:4]) for line in lines} == {('ros2', 'param', 'set', nodes.name)}
    assert {line[4]: yaml.safe_load(line[5]) for line in lines} == {
        'flip': False, 'threshold': 1.0, 'background.color': [1, 2, 3], 'people.who': 'central'}


# ---- who comes and goes

def test_recovers_when_node_or_studio_restarts(graph, start, browse):
    nodes = Nodes(graph, start)
    page = browse(nodes.url)
    page.wait_for_pictures()
    assert nodes.node.change(threshold=0.3) == []
    page.wait(lambda: page.field('threshold').input_value() == '0.3', 'the value')
    nodes.program.send(signal.SIGKILL)
    page.wait(lambda: f'Waiting for {nodes.name}' in page.text('#message'), 'the word that it is gone')
    nodes.program = nodes.start_node()
    page.wait_for_pictures()
    page.wait(lambda: page.page.locator('.row').count() and page.field('threshold').input_value() == '0.5', 'its values')
    assert page.text('#message') == ''
    nodes.studio.send(signal.SIGKILL)
    page.wait(lambda: 'Waiting for the studio' in page.text('#message'), 'the word that the studio is gone')
    nodes.studio.exit_code()
    port = int(nodes.url.rstrip('/').rpartition(':')[2])
    nodes.studio, _ = started_studio(start, node=nodes.name, port=port)
    page.wait_for_pictures()
    nodes.studio.send(signal.SIGINT)
    assert nodes.studio.exit_code() == 0 and 'Traceback' not in nodes.studio.said


def test_empty_page_says_what_it_waits_for(start, browse):
    program, url = started_studio(start, '-r', f'__ns:=/{unique("empty")}')
    page = browse(f'{url}#/nobody/here')
    page.wait(lambda: 'Waiting for /nobody/here' in page.text('#message'), 'what it waits for')


def test_serves_node_of_another_package(start, browse):
    namespace = unique('foreign')
    start('', '--ros-args', '-r', f'__ns:=/{namespace}', command=[sys.executable, '-c', OTHER])
    program, url = started_studio(start, node=f'/{namespace}/other')
    page = browse(url)
    page.wait_for_pictures()
    page.wait_for_parameters()
    assert page.page.locator('#looks').is_hidden() and page.page.locator('#backgrounds').is_hidden()
    for name, wrong, reason, right in (('whole', '13', 'thirteen', '14'), ('gain', '9', 'gain', '3.5'),
                                       ('numbers', '["a"]', 'takes a number', '[1,2]'), ('names', '[3]', 'text', '["a b","c"]')):
        field, refused = page.field(name), page.page.locator(f'[id="row-{name}"] .refused')
        field.fill(wrong)
        field.press('Enter')
        page.wait(lambda: reason in refused.text_content(), 'the reason')  # noqa: B023
        field.fill(right)
        field.press('Enter')
        page.wait(lambda: field.input_value() == right and not refused.text_content(), 'the value')  # noqa: B023
    page.field('words').fill('new "words"')
    page.field('words').press('Enter')
    page.wait(lambda: page.page.locator('#count').inner_text() == '5', 'the text')
    with page.page.expect_download() as download:
        page.page.locator('#save').click()
    values = yaml.safe_load(Path(download.value.path()).read_text())['/**']['ros__parameters']
    assert values == {'whole': 14, 'truth': True, 'words': 'new "words"', 'numbers': [1.0, 2.0], 'names': ['a b', 'c'],
                      'tiny': 1e-7, 'replace': 'background', 'gain': 3.5}
    page.page.locator('#actions button', has_text='Snapshot').click()
    page.wait(lambda: '/tmp/snapshot' in page.text('#notes'), 'where it is')
    page.page.locator('#actions button', has_text='Pause').click()
    page.wait(lambda: page.page.locator('#actions button', has_text='Go on').count(), 'the pause')


def test_strange_parameters_leave_page_usable(start, browse):
    """No error on the page, which ``browse`` looks at, while their types change."""
    namespace = unique('strange')
    other = start('', '--ros-args', '-r', f'__ns:=/{namespace}', command=[sys.executable, '-c', STRANGE])
    program, url = started_studio(start, node=f'/{namespace}/other')
    page = browse(url)
    page.wait_for_parameters()
    page.field('truth').click()
    shown = set()
    page.wait(lambda: shown.add(page.page.locator('[id="row-any.1"] input').first.input_value()) or len(shown) > 4, 'the values')
    page.field('truth').click()
    page.wait(lambda: page.page.locator('[id="row-truth"]:not(.changed)').count(), 'the end of the changes')
    for kind in ('INTEGER_ARRAY', 'STRING', 'DOUBLE', 'any'):
        assert [page.page.locator(f'[id="row-{kind}.{number}"]').count() for number in range(7)] == [1] * 7
    assert page.field('long').is_disabled() and 'too long' in page.field('long').input_value()
    page.field('whole').fill('14')
    page.field('whole').press('Enter')
    page.wait(lambda: page.page.locator('[id="row-whole"].changed').count(), 'the change')
    page.wait_for_pictures()
    assert other.code is None and 'ERROR' not in program.said, (other.said, program.said)


def test_shows_no_uncovered_picture(start, browse, graph):
    """Neither the input of the node that covers them, nor what another node publishes or makes of the same camera."""
    namespace = unique('covered')
    for rules in ([], ['__node:=second'], ['__node:=camera', 'camera:=image_raw', 'image_raw:=none']):
        start('', '--ros-args', *(part for rule in [f'__ns:=/{namespace}', *rules] for part in ('-r', rule)),
              command=[sys.executable, '-c', OTHER])
    _, url = started_studio(start, node=f'/{namespace}/other')
    page = browse(url)
    page.wait(lambda: page.page.locator('#views label', has_text='Wipe').count(), 'input and output')
    page.wait_for_pictures()
    page.field('replace').fill('people')
    page.field('replace').press('Enter')
    page.wait(lambda: not page.page.locator('figure[data-kind=input]').count(), 'the end of the input')
    page.wait_for_pictures()
    assert page.page.locator('#views label').all_inner_texts() == ['Output', 'Camera', 'All']
    for name in ('second', 'camera'):
        page.page.locator('#node').select_option(f'/{namespace}/{name}')
        page.wait(lambda: f'/{namespace}/other covers people' in page.text('#message'), 'the reason')
        assert page.page.locator('figure').count() == 0
    late = browse(url)  # one that comes now gets no single picture more
    late.wait_for_pictures()
    assert late.page.locator('#views label').all_inner_texts() == ['Output', 'Camera', 'All']


# ---- sizes, keys, colours

def test_telephone_shows_picture_first(nodes, browse):
    page = browse(nodes.url, 390, 844, is_mobile=True, has_touch=True, device_scale_factor=2)
    page.wait_for_pictures()
    page.wait(lambda: page.page.locator('figure[data-kind=output]').bounding_box(), 'the output')
    picture = page.page.locator('figure[data-kind=output]').bounding_box()
    assert picture['width'] > 350 and picture['y'] + picture['height'] < 600
    assert page.page.evaluate('document.documentElement.scrollWidth') <= 390
    page.field('edge.light_wrap', '.slider').scroll_into_view_if_needed()
    assert page.page.locator('figure[data-kind=output]').bounding_box()['y'] >= -1  # it stays while the settings move
    box = page.field('edge.light_wrap', '.slider').bounding_box()
    assert box['height'] >= 32
    page.page.touchscreen.tap(box['x'] + box['width'] / 2, box['y'] + box['height'] / 2)
    page.wait(lambda: nodes.node.values()['edge.light_wrap'] == 0.5, 'what was tapped')


def test_keyboard_reaches_everything(nodes, page):
    seen = []
    for _ in range(80):
        page.page.keyboard.press('Tab')
        focused = page.page.evaluate("""() => { const at = document.activeElement;
            return [at.id || at.className || at.tagName, at.closest('.row')?.id ?? '', at.type ?? '',
                    getComputedStyle(at).outlineStyle !== 'none' || at.matches('.segments input, .chip input')]; }""")
        seen.append(focused)
        if focused[1] == 'row-threshold' and focused[2] == 'range':
            break
    assert seen[-1][1] == 'row-threshold' and all(each[3] for each in seen if each[0] != 'BODY'), seen
    assert {'node', 'wipe', 'search', 'changed'} <= {each[0] for each in seen}
    page.page.keyboard.press('ArrowRight')
    page.wait(lambda: 0.5 < nodes.node.values()['threshold'] < 0.55, 'one step')


@pytest.mark.parametrize('scheme', ['dark', 'light'])
def test_contrast_in_dark_and_light(nodes, browse, scheme):
    page = browse(nodes.url, color_scheme=scheme)
    page.wait_for_pictures()

    def luminance(selector: str, what: str) -> float:
        color = page.page.locator(selector).first.evaluate('(each, what) => getComputedStyle(each)[what]', what)
        parts = [int(part) / 255 for part in re.findall(r'\d+', color)[:3]]
        return sum(weight * (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
                   for weight, part in zip((0.2126, 0.7152, 0.0722), parts))

    grounds = {'#panel': ('.row label', '.row p', '#looks h2'), 'body': ('#report summary',), '.plot': ('.plot small', '.plot b')}
    for ground, texts in grounds.items():
        below = luminance(ground, 'backgroundColor')
        assert (below < 0.1) == (scheme == 'dark')
        for text in texts:
            light, dark = sorted([below, luminance(text, 'color')], reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ground, text)


def test_shows_figures_of_node(nodes, page):
    page.wait(lambda: re.search(r'frames a second in', page.text('#state')), 'its report')
    page.page.locator('#report summary').click()
    values = json.loads(page.page.evaluate("""JSON.stringify(Object.fromEntries([...document.querySelectorAll('#values div')]
                                              .map((each) => [...each.children].map((part) => part.textContent))))"""))
    assert {'rate out (Hz)', 'CPU (cores)', 'people'} <= values.keys()
    page.wait(lambda: page.page.locator('.plot b').all_inner_texts()[3] == '1', 'the person')


def test_page_at_rest_sends_acknowledgements_only(nodes, page):
    sent = []
    page.page.on('websocket', lambda opened: opened.on('framesent', lambda frame: sent.append(frame)))
    page.page.reload()
    page.wait_for_the_wipe()
    sent.clear()
    page.wait_for_pictures(10)
    assert sent and {*map(str, sent)} == {'{"drew":1}'}


def test_token_opens_page_and_socket(nodes, start, browse):
    _, url = started_studio(start, node=nodes.name, host='0.0.0.0')
    url = re.sub('//[^:]+:', '//127.0.0.1:', url)
    with pytest.raises(urllib.error.HTTPError, match='403'):
        urllib.request.urlopen(url.partition('?')[0], timeout=20)
    page = browse(url)
    page.wait_for_pictures()
    assert 'token' not in page.page.url
