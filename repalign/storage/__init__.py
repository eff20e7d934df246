"""Storage: files that are written whole or not at all, or a line at a time by many processes."""

from repalign.storage.files import cache_dir as cache_dir
from repalign.storage.files import make_folder as make_folder
from repalign.storage.files import read_json as read_json
from repalign.storage.files import read_record as read_record
from repalign.storage.files import read_tensors as read_tensors
from repalign.storage.files import refuse_pickle as refuse_pickle
from repalign.storage.files import sha256 as sha256
from repalign.storage.files import sync_folder as sync_folder
from repalign.storage.files import write_all as write_all
from repalign.storage.files import write_atomic as write_atomic
from repalign.storage.files import write_json as write_json
from repalign.storage.files import write_tensors as write_tensors
from repalign.storage.lines import Lines as Lines
from repalign.storage.lines import differences as differences
from repalign.storage.lines import digest as digest
from repalign.storage.lines import plain as plain
from repalign.storage.locks import claimed as claimed
from repalign.storage.locks import is_claimed as is_claimed
from repalign.storage.locks import locked as locked
