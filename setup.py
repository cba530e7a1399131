"Hand `settings.ini`, the one place for the distribution's metadata, to setuptools."
import runpy, sys
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

cfg = ConfigParser(delimiters=['='], interpolation=None)
cfg.read('settings.ini', encoding='utf-8')
cfg = cfg['DEFAULT']
pythons = '3.10 3.11 3.12 3.13'.split()
extras = {k[:-len('_requirements')]: v.split() for k, v in cfg.items() if k.endswith('_requirements')}

class Build(build_py):
    "Bundles the front end first, where its sources are; a wheel made from a built package has it already."
    def run(self):
        build = Path('js/build.py')
        try:
            if build.exists(): runpy.run_path(str(build))['build']()
        except SystemExit as e: print(f'Going on without the dashboards: {e}', file=sys.stderr)
        super().run()

setup(
    version=cfg['version'], description=cfg['description'], author=cfg['author'], license_expression=cfg['license'],
    keywords=cfg['keywords'].split(), python_requires=f">={cfg['min_python']}",
    classifiers=['Development Status :: 3 - Alpha', 'Intended Audience :: Developers',
        'Intended Audience :: Science/Research', 'Natural Language :: English', 'Framework :: Jupyter',
        'Topic :: Scientific/Engineering :: Artificial Intelligence', 'Typing :: Typed',
        'Programming Language :: Python :: 3 :: Only', *(f'Programming Language :: Python :: {o}' for o in pythons)],
    long_description=Path('README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    install_requires=cfg['requirements'].split(), extras_require=extras,
    packages=find_packages(include=['mlkit*']), package_data=dict(mlkit=['py.typed', 'static/*', 'data/*.csv']),
    include_package_data=False, cmdclass=dict(build_py=Build),
    entry_points=dict(console_scripts=cfg['console_scripts'].split(),
        nbdev=[f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"]))
