BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE attempts (
	job_id VARCHAR(36) NOT NULL, 
	number INTEGER NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	worker VARCHAR(255), 
	worker_pid INTEGER, 
	started_at DOUBLE, 
	finished_at DOUBLE NOT NULL, 
	error_type VARCHAR(255), 
	error TEXT, 
	traceback TEXT, 
	CONSTRAINT pk_attempts PRIMARY KEY (job_id, number)
);
INSERT INTO "attempts" VALUES('01a222a2-0f86-77df-9f93-72d4ba3d74b3',1,'succeeded','critical@host-1',26829,1.70126937611998033518e+09,1.70126937614001631738e+09,NULL,NULL,NULL);
INSERT INTO "attempts" VALUES('01a222a2-105b-7198-b6ae-fdb4a68f8720',1,'failed','normal@host-1',26821,1.70126937612999820713e+09,1.70126937614701700214e+09,'shop.CarrierDown','post does not take order 4711 of ''o-3''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: post does not take order 4711 of ''o-3''
');
INSERT INTO "attempts" VALUES('01a222a2-1050-7631-bd7a-16026d4d67d7',1,'failed','critical@host-1',26829,1.70126937618000793461e+09,1.70126937618600273128e+09,'perdure.control.Discard','order o-2 has nothing to charge','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 35, in charge
    raise Discard(f"order {order} has nothing to charge")
perdure.control.Discard: order o-2 has nothing to charge
');
INSERT INTO "attempts" VALUES('01a222a2-1062-7504-be52-09c372789279',1,'failed','normal@host-1',26821,1.70126937620901608465e+09,1.70126937620998167988e+09,'shop.CarrierDown','post does not take order 4711 of ''o-4''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: post does not take order 4711 of ''o-4''
');
INSERT INTO "attempts" VALUES('01a222a2-1066-77c2-a9cb-d14e811a14f4',1,'failed','normal@host-1',26821,1.70126937623400092125e+09,1.7012693762350068092e+09,'shop.CarrierDown','drone does not take order 4711 of ''o-5''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: drone does not take order 4711 of ''o-5''
');
INSERT INTO "attempts" VALUES('01a222a2-106d-7301-81d3-76b11a96ac67',1,'failed','normal@host-1',26821,1.70126937627298688892e+09,1.70126937627499842642e+09,'perdure.control.RetryAfter','too many requests','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 44, in ask
    raise RetryAfter(0.01, "too many requests")
perdure.control.RetryAfter: too many requests
');
INSERT INTO "attempts" VALUES('01a222a2-10cc-777b-a035-4f7619f44395',1,'succeeded','background@host-1',26836,1.70126937628300476073e+09,1.7012693763040065766e+09,NULL,NULL,NULL);
INSERT INTO "attempts" VALUES('01a222a2-1073-7183-921c-235508adce32',1,'snoozed','normal@host-1',26821,1.70126937632001924509e+09,1.70126937633100295066e+09,'perdure.control.Snooze','the shop is closed',NULL);
INSERT INTO "attempts" VALUES('01a222a2-107d-7113-8dc9-0bcbe66e036b',1,'failed','normal@host-1',26821,1.70126937638600158686e+09,1.70126937648199796676e+09,'perdure.resilience.timeouts.OperationTimeout','''carrier'' took longer than 0.0405 s; it is still running in its thread','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 52, in call
    app.service("carrier").call(time.sleep, 1)
  File "/opt/perdure/platform/perdure/resilience/service.py", line 134, in call
    return self.serve(fn, *args, **kwargs).value
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 139, in serve
    return Served(self._bounded(fn, *args, **kwargs))
                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 191, in _bounded
    return self._guarded(fn, *args, **kwargs)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 198, in _guarded
    return cast("R", self.breaker.call(self._retried, fn, *args, **kwargs))
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/breaker.py", line 102, in call
    result = fn(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 203, in _retried
    return cast("R", self.retrying.call(self._attempt, fn, *args, **kwargs))
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/retrying.py", line 75, in call
    result: R = retrying(fn, *args, **kwargs)
                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 550, in __call__
    do = self.iter(retry_state=retry_state)
         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 440, in iter
    result = action(retry_state)
             ^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 482, in exc_check
    retry_exc.reraise()
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 216, in reraise
    raise self.last_attempt.result()
          ^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/concurrent/futures/_base.py", line 449, in result
    return self.__get_result()
           ^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/concurrent/futures/_base.py", line 401, in __get_result
    raise self._exception
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 553, in __call__
    result = fn(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 208, in _attempt
    return self.timeout.call(fn, *args, **kwargs)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/timeouts.py", line 139, in call
    raise self._too_late(seconds, still_running=True)
perdure.resilience.timeouts.OperationTimeout: ''carrier'' took longer than 0.0405 s; it is still running in its thread
');
INSERT INTO "attempts" VALUES('01a222a2-10a3-70f5-a2a8-8628cb308060',1,'failed','normal@host-1',26821,1.70126937654399728767e+09,1.70126937657799434666e+09,'perdure.errors.Unserialisable','checkpoint ''main'' of job 01a222a2-10a3-70f5-a2a8-8628cb308060[''what'']: a builtins.object has no JSON form. Pass plain values, a dataclass, an enum, a msgspec struct or a pydantic model.','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 60, in count
    ctx.checkpoint.save({"what": object()})  # perdure itself refuses it
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/checkpoint.py", line 110, in save
    data = states.pack(state, self._context.state_policy.version, self._title)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/state.py", line 68, in pack
    return f''{{"{_VERSION}":{version},"{_STATE}":{codec.encode(state, what=what)}}}''.encode()
                                                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 56, in encode
    return dumps(to_plain(value, typed=typed, what=what), what=what)
                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 62, in to_plain
    return _tagged(value, typed, what)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 160, in _tagged
    return _tagged_dict(value, typed, path)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 199, in _tagged_dict
    content[_key_text(key)] = _tagged(item, typed, f"{path}[{key!r:.60}]")
                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 166, in _tagged
    return _tagged_object(value, typed, path)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 214, in _tagged_object
    raise Unserialisable(
perdure.errors.Unserialisable: checkpoint ''main'' of job 01a222a2-10a3-70f5-a2a8-8628cb308060[''what'']: a builtins.object has no JSON form. Pass plain values, a dataclass, an enum, a msgspec struct or a pydantic model.
');
INSERT INTO "attempts" VALUES('01a222a2-10ab-7530-9c8f-bb99e2675a0d',1,'timeout','normal@host-1',26821,1.70126937661899185175e+09,1.70126937692701673513e+09,'perdure.decision.TimeLimitReached','ran longer than its timeout of 0.3 s','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 65, in slow
    time.sleep(30)
  File "/opt/perdure/workers/perdure_workers/time_limit.py", line 35, in interrupt
    raise SoftTimeLimitExceeded(seconds)
perdure.decision.TimeLimitReached: ran longer than its timeout of 0.3 s
');
INSERT INTO "attempts" VALUES('01a222a2-10b1-745c-bae3-d725c24f8b28',1,'crashed','normal@host-1',26821,1.70126937697501468653e+09,1.70126937703198480604e+09,'WorkerLost','process 26821 killed by SIGKILL',NULL);
INSERT INTO "attempts" VALUES('01a222a2-10b5-7699-ba69-c9bf7623ead1',1,'failed','normal@host-1',26872,1.70126937761898636819e+09,1.70126937769200944905e+09,'ConnectionError','supplier refused o-6','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
                                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/breaker.py", line 102, in call
    result = fn(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 75, in buy
    raise ConnectionError(f"supplier refused {order}")
ConnectionError: supplier refused o-6
');
INSERT INTO "attempts" VALUES('01a222a2-1066-77c2-a9cb-d14e811a14f4',2,'failed','normal@host-1',26872,1.70126937773300695414e+09,1.70126937773401284222e+09,'shop.CarrierDown','drone does not take order 4711 of ''o-5''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: drone does not take order 4711 of ''o-5''
');
INSERT INTO "attempts" VALUES('01a222a2-106d-7301-81d3-76b11a96ac67',2,'failed','normal@host-1',26872,1.70126937776599836344e+09,1701269377.76801,'perdure.control.RetryAfter','too many requests','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 44, in ask
    raise RetryAfter(0.01, "too many requests")
perdure.control.RetryAfter: too many requests
');
INSERT INTO "attempts" VALUES('01a222a2-105b-7198-b6ae-fdb4a68f8720',2,'failed','normal@host-1',26872,1.7012693778349981308e+09,1.70126937784199857716e+09,'shop.CarrierDown','post does not take order 4711 of ''o-3''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: post does not take order 4711 of ''o-3''
');
INSERT INTO "attempts" VALUES('01a222a2-1062-7504-be52-09c372789279',2,'failed','normal@host-1',26872,1.70126937786698341371e+09,1.70126937788001894947e+09,'shop.CarrierDown','post does not take order 4711 of ''o-4''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: post does not take order 4711 of ''o-4''
');
INSERT INTO "attempts" VALUES('01a222a2-107d-7113-8dc9-0bcbe66e036b',2,'failed','normal@host-1',26872,1.70126937791099834443e+09,1.70126937798398137095e+09,'perdure.resilience.timeouts.OperationTimeout','''carrier'' took longer than 0.0381 s; it is still running in its thread','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 52, in call
    app.service("carrier").call(time.sleep, 1)
  File "/opt/perdure/platform/perdure/resilience/service.py", line 134, in call
    return self.serve(fn, *args, **kwargs).value
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 139, in serve
    return Served(self._bounded(fn, *args, **kwargs))
                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 191, in _bounded
    return self._guarded(fn, *args, **kwargs)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 198, in _guarded
    return cast("R", self.breaker.call(self._retried, fn, *args, **kwargs))
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/breaker.py", line 102, in call
    result = fn(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 203, in _retried
    return cast("R", self.retrying.call(self._attempt, fn, *args, **kwargs))
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/retrying.py", line 75, in call
    result: R = retrying(fn, *args, **kwargs)
                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 550, in __call__
    do = self.iter(retry_state=retry_state)
         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 440, in iter
    result = action(retry_state)
             ^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 482, in exc_check
    retry_exc.reraise()
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 216, in reraise
    raise self.last_attempt.result()
          ^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/concurrent/futures/_base.py", line 449, in result
    return self.__get_result()
           ^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/concurrent/futures/_base.py", line 401, in __get_result
    raise self._exception
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 553, in __call__
    result = fn(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 208, in _attempt
    return self.timeout.call(fn, *args, **kwargs)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/timeouts.py", line 139, in call
    raise self._too_late(seconds, still_running=True)
perdure.resilience.timeouts.OperationTimeout: ''carrier'' took longer than 0.0381 s; it is still running in its thread
');
INSERT INTO "attempts" VALUES('01a222a2-10a3-70f5-a2a8-8628cb308060',2,'failed','normal@host-1',26872,1.70126937802799654006e+09,1.70126937805998182298e+09,'perdure.errors.Unserialisable','checkpoint ''main'' of job 01a222a2-10a3-70f5-a2a8-8628cb308060[''what'']: a builtins.object has no JSON form. Pass plain values, a dataclass, an enum, a msgspec struct or a pydantic model.','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 60, in count
    ctx.checkpoint.save({"what": object()})  # perdure itself refuses it
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/checkpoint.py", line 110, in save
    data = states.pack(state, self._context.state_policy.version, self._title)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/state.py", line 68, in pack
    return f''{{"{_VERSION}":{version},"{_STATE}":{codec.encode(state, what=what)}}}''.encode()
                                                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 56, in encode
    return dumps(to_plain(value, typed=typed, what=what), what=what)
                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 62, in to_plain
    return _tagged(value, typed, what)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 160, in _tagged
    return _tagged_dict(value, typed, path)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 199, in _tagged_dict
    content[_key_text(key)] = _tagged(item, typed, f"{path}[{key!r:.60}]")
                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 166, in _tagged
    return _tagged_object(value, typed, path)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 214, in _tagged_object
    raise Unserialisable(
perdure.errors.Unserialisable: checkpoint ''main'' of job 01a222a2-10a3-70f5-a2a8-8628cb308060[''what'']: a builtins.object has no JSON form. Pass plain values, a dataclass, an enum, a msgspec struct or a pydantic model.
');
INSERT INTO "attempts" VALUES('01a222a2-10b1-745c-bae3-d725c24f8b28',2,'crashed','normal@host-1',26872,1.70126937808198928836e+09,1.70126937838200783734e+09,'WorkerLost','process 26872 killed by SIGKILL',NULL);
INSERT INTO "attempts" VALUES('01a222a2-1066-77c2-a9cb-d14e811a14f4',3,'failed','normal@host-1',26874,1.70126937870499944684e+09,1.7012693787200064659e+09,'shop.CarrierDown','drone does not take order 4711 of ''o-5''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: drone does not take order 4711 of ''o-5''
');
INSERT INTO "attempts" VALUES('01a222a2-106d-7301-81d3-76b11a96ac67',3,'failed','normal@host-1',26874,1.70126937878099966051e+09,1.7012693787830114365e+09,'perdure.control.RetryAfter','too many requests','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 44, in ask
    raise RetryAfter(0.01, "too many requests")
perdure.control.RetryAfter: too many requests
');
INSERT INTO "attempts" VALUES('01a222a2-10b5-7699-ba69-c9bf7623ead1',2,'failed','normal@host-1',26874,1.70126937883100962643e+09,1.70126937886601233484e+09,'ConnectionError','supplier refused o-6','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
                                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/breaker.py", line 102, in call
    result = fn(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 75, in buy
    raise ConnectionError(f"supplier refused {order}")
ConnectionError: supplier refused o-6
');
INSERT INTO "attempts" VALUES('01a222a2-105b-7198-b6ae-fdb4a68f8720',3,'failed','normal@host-1',26874,1.70126937891199874874e+09,1.70126937892298245435e+09,'shop.CarrierDown','post does not take order 4711 of ''o-3''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: post does not take order 4711 of ''o-3''
');
INSERT INTO "attempts" VALUES('01a222a2-1062-7504-be52-09c372789279',3,'failed','normal@host-1',26874,1.70126937895299649235e+09,1.70126937895500802999e+09,'shop.CarrierDown','post does not take order 4711 of ''o-4''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: post does not take order 4711 of ''o-4''
');
INSERT INTO "attempts" VALUES('01a222a2-107d-7113-8dc9-0bcbe66e036b',3,'failed','normal@host-1',26874,1.70126937897798109051e+09,1.70126937904199218749e+09,'perdure.resilience.timeouts.OperationTimeout','''carrier'' took longer than 0.0401 s; it is still running in its thread','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 52, in call
    app.service("carrier").call(time.sleep, 1)
  File "/opt/perdure/platform/perdure/resilience/service.py", line 134, in call
    return self.serve(fn, *args, **kwargs).value
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 139, in serve
    return Served(self._bounded(fn, *args, **kwargs))
                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 191, in _bounded
    return self._guarded(fn, *args, **kwargs)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 198, in _guarded
    return cast("R", self.breaker.call(self._retried, fn, *args, **kwargs))
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/breaker.py", line 102, in call
    result = fn(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 203, in _retried
    return cast("R", self.retrying.call(self._attempt, fn, *args, **kwargs))
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/retrying.py", line 75, in call
    result: R = retrying(fn, *args, **kwargs)
                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 550, in __call__
    do = self.iter(retry_state=retry_state)
         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 440, in iter
    result = action(retry_state)
             ^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 482, in exc_check
    retry_exc.reraise()
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 216, in reraise
    raise self.last_attempt.result()
          ^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/concurrent/futures/_base.py", line 449, in result
    return self.__get_result()
           ^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/concurrent/futures/_base.py", line 401, in __get_result
    raise self._exception
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 553, in __call__
    result = fn(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 208, in _attempt
    return self.timeout.call(fn, *args, **kwargs)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/timeouts.py", line 139, in call
    raise self._too_late(seconds, still_running=True)
perdure.resilience.timeouts.OperationTimeout: ''carrier'' took longer than 0.0401 s; it is still running in its thread
');
INSERT INTO "attempts" VALUES('01a222a2-10a3-70f5-a2a8-8628cb308060',3,'failed','normal@host-1',26874,1.7012693790689885616e+09,1.70126937909699082378e+09,'perdure.errors.Unserialisable','checkpoint ''main'' of job 01a222a2-10a3-70f5-a2a8-8628cb308060[''what'']: a builtins.object has no JSON form. Pass plain values, a dataclass, an enum, a msgspec struct or a pydantic model.','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 60, in count
    ctx.checkpoint.save({"what": object()})  # perdure itself refuses it
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/checkpoint.py", line 110, in save
    data = states.pack(state, self._context.state_policy.version, self._title)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/state.py", line 68, in pack
    return f''{{"{_VERSION}":{version},"{_STATE}":{codec.encode(state, what=what)}}}''.encode()
                                                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 56, in encode
    return dumps(to_plain(value, typed=typed, what=what), what=what)
                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 62, in to_plain
    return _tagged(value, typed, what)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 160, in _tagged
    return _tagged_dict(value, typed, path)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 199, in _tagged_dict
    content[_key_text(key)] = _tagged(item, typed, f"{path}[{key!r:.60}]")
                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 166, in _tagged
    return _tagged_object(value, typed, path)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 214, in _tagged_object
    raise Unserialisable(
perdure.errors.Unserialisable: checkpoint ''main'' of job 01a222a2-10a3-70f5-a2a8-8628cb308060[''what'']: a builtins.object has no JSON form. Pass plain values, a dataclass, an enum, a msgspec struct or a pydantic model.
');
INSERT INTO "attempts" VALUES('01a222a2-10b1-745c-bae3-d725c24f8b28',3,'crashed','normal@host-1',26874,1.70126937912298154833e+09,1.70126937957101774219e+09,'WorkerLost','process 26874 killed by SIGKILL',NULL);
INSERT INTO "attempts" VALUES('01a222a2-10b5-7699-ba69-c9bf7623ead1',3,'failed','normal@host-1',26876,1.70126937996799802773e+09,1.70126938003200888632e+09,'ConnectionError','supplier refused o-6','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
                                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/breaker.py", line 102, in call
    result = fn(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 75, in buy
    raise ConnectionError(f"supplier refused {order}")
ConnectionError: supplier refused o-6
');
INSERT INTO "attempts" VALUES('01a222a2-2460-75b6-b505-d97f4d176cb0',1,'failed','normal@host-1',26876,1.70126938123200225827e+09,1.70126938124101448066e+09,'shop.CarrierDown','drone does not take order 4711 of ''o-5''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: drone does not take order 4711 of ''o-5''
');
INSERT INTO "attempts" VALUES('01a222a2-2460-75b6-b505-d97f4d176cb0',2,'failed','normal@host-1',26876,1.7012693813119859695e+09,1.70126938132401561744e+09,'shop.CarrierDown','drone does not take order 4711 of ''o-5''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: drone does not take order 4711 of ''o-5''
');
INSERT INTO "attempts" VALUES('01a222a2-2460-75b6-b505-d97f4d176cb0',3,'failed','normal@host-1',26876,1.70126938142898368831e+09,1.70126938143200135238e+09,'shop.CarrierDown','drone does not take order 4711 of ''o-5''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: drone does not take order 4711 of ''o-5''
');
CREATE TABLE bulkheads (
	name VARCHAR(64) NOT NULL, 
	paused BOOLEAN NOT NULL, 
	paused_by VARCHAR(255), 
	paused_at DOUBLE, 
	reason TEXT, 
	CONSTRAINT pk_bulkheads PRIMARY KEY (name)
);
INSERT INTO "bulkheads" VALUES('background',1,'cli:root',1.70126938057298374173e+09,'');
CREATE TABLE checkpoints (
	job_id VARCHAR(36) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	fence BIGINT NOT NULL, 
	seq BIGINT NOT NULL, 
	data BLOB NOT NULL, 
	saved_at DOUBLE NOT NULL, 
	CONSTRAINT pk_checkpoints PRIMARY KEY (job_id, name, fence, seq)
);
INSERT INTO "checkpoints" VALUES('01a222a2-10a3-70f5-a2a8-8628cb308060','main',1,1,X'5044434B0100002400040000000000000001000000000000000141DAC2BA80234130000000000000001930316132323261322D313061332D373066352D613261382D3836323863623330383036306D61696E7B2276223A312C2273223A7B22636F756E746564223A337D7D1B4FF27FEF86310F13CC9918D033E4110DEFCC70CF9734670036DA85D78BA89A',1701269376.56001);
INSERT INTO "checkpoints" VALUES('01a222a2-10a3-70f5-a2a8-8628cb308060','main',2,2,X'5044434B0100002400040000000000000002000000000000000241DAC2BA8081F248000000000000001930316132323261322D313061332D373066352D613261382D3836323863623330383036306D61696E7B2276223A312C2273223A7B22636F756E746564223A337D7D9E76C2707C2D35A3DD5EB01AB2439D62D44A7B24EB5226D7C3D3B3E9816CA1B8',1.70126937804099178318e+09);
INSERT INTO "checkpoints" VALUES('01a222a2-10a3-70f5-a2a8-8628cb308060','main',3,3,X'5044434B0100002400040000000000000003000000000000000341DAC2BA80C48DD5000000000000001930316132323261322D313061332D373066352D613261382D3836323863623330383036306D61696E7B2276223A312C2273223A7B22636F756E746564223A337D7DA347F1EE2BF99EF46A2DC777C4223C9126D51AC6EB5C9E2DFD4B908B7BBD611C',1.70126937908101820949e+09);
CREATE TABLE dead_letter_audit (
	id VARCHAR(36) NOT NULL, 
	at DOUBLE NOT NULL, 
	who VARCHAR(255) NOT NULL, 
	source VARCHAR(255) NOT NULL, 
	action VARCHAR(32) NOT NULL, 
	letter_id VARCHAR(36), 
	fingerprint VARCHAR(64), 
	job_id VARCHAR(36), 
	detail TEXT, 
	CONSTRAINT pk_dead_letter_audit PRIMARY KEY (id)
);
INSERT INTO "dead_letter_audit" VALUES('01a222a2-2454-70e6-ab1e-7c70841e1dd6',1.70126938120701766011e+09,'ann','python host-1:26853','discard','01a222a2-1b8a-7373-9585-c09008e82d89','a102938cbb9aa59f',NULL,'{"reason":"not wanted","was":"open"}');
INSERT INTO "dead_letter_audit" VALUES('01a222a2-2463-7447-bfa6-ff2c2b7a5f0b',1.70126938121900701523e+09,'ann','python host-1:26853','replay','01a222a2-1a94-773e-b74c-a4fcc89d3eef','a7bfd5d3d896eabb','01a222a2-2460-75b6-b505-d97f4d176cb0',NULL);
CREATE TABLE dead_letter_groups (
	fingerprint VARCHAR(64) NOT NULL, 
	task VARCHAR(255) NOT NULL, 
	reason VARCHAR(16) NOT NULL, 
	error_type VARCHAR(255), 
	error TEXT, 
	seen INTEGER NOT NULL, 
	open INTEGER NOT NULL, 
	replayed INTEGER NOT NULL, 
	discarded INTEGER NOT NULL, 
	boomerangs INTEGER NOT NULL, 
	first_seen DOUBLE NOT NULL, 
	last_seen DOUBLE NOT NULL, 
	note TEXT, 
	noted_by VARCHAR(255), 
	noted_at DOUBLE, 
	noticed_seen INTEGER DEFAULT '0' NOT NULL, 
	noticed_boomerangs INTEGER DEFAULT '0' NOT NULL, 
	changed BOOLEAN NOT NULL, 
	CONSTRAINT pk_dead_letter_groups PRIMARY KEY (fingerprint)
);
INSERT INTO "dead_letter_groups" VALUES('e37082afbaba5dd1','shop.charge','discarded','perdure.control.Discard','order o-2 has nothing to charge',1,1,0,0,0,1.70126937618998575214e+09,1.70126937618998575214e+09,NULL,NULL,NULL,1,0,0);
INSERT INTO "dead_letter_groups" VALUES('cb55d03dfa56636b','shop.slow','timeout','perdure.decision.TimeLimitReached','ran longer than its timeout of 0.3 s',1,1,0,0,0,1.70126937694500088692e+09,1.70126937694500088692e+09,NULL,NULL,NULL,1,0,0);
INSERT INTO "dead_letter_groups" VALUES('a7bfd5d3d896eabb','shop.ship','exhausted','shop.CarrierDown','drone does not take order 4711 of ''o-5''',2,1,1,0,1,1.70126937872801280021e+09,1.70126938144201946259e+09,NULL,NULL,NULL,1,1,0);
INSERT INTO "dead_letter_groups" VALUES('8d72315a333e78c3','shop.ask','exhausted','perdure.control.RetryAfter','too many requests',1,1,0,0,0,1.7012693787830114365e+09,1.7012693787830114365e+09,NULL,NULL,NULL,1,0,0);
INSERT INTO "dead_letter_groups" VALUES('a102938cbb9aa59f','shop.ship','exhausted','shop.CarrierDown','post does not take order 4711 of ''o-4''',2,1,0,1,0,1.70126937892298245435e+09,1.70126937895500802999e+09,NULL,NULL,NULL,2,0,0);
INSERT INTO "dead_letter_groups" VALUES('c3d69f4cb93b9f53','shop.call','exhausted','perdure.resilience.timeouts.OperationTimeout','''carrier'' took longer than 0.0401 s; it is still running in its thread',1,1,0,0,0,1.70126937904199218749e+09,1.70126937904199218749e+09,NULL,NULL,NULL,1,0,0);
INSERT INTO "dead_letter_groups" VALUES('f947df1963a002f1','shop.count','exhausted','perdure.errors.Unserialisable','checkpoint ''main'' of job 01a222a2-10a3-70f5-a2a8-8628cb308060[''what'']: a builtins.object has no JSON form. Pass plain values, a dataclass, an enum, a msgspec struct or a pydantic model.',1,1,0,0,0,1.70126937910399150845e+09,1.70126937910399150845e+09,NULL,NULL,NULL,1,0,0);
INSERT INTO "dead_letter_groups" VALUES('b91a824d913bb9fa','shop.poison','crashed','WorkerLost','process 26874 killed by SIGKILL',1,1,0,0,0,1.70126937957600641248e+09,1.70126937957600641248e+09,NULL,NULL,NULL,1,0,0);
INSERT INTO "dead_letter_groups" VALUES('3d891d2de18ec350','shop.buy','exhausted','ConnectionError','supplier refused o-6',1,1,0,0,0,1.70126938004001522063e+09,1.70126938004001522063e+09,NULL,NULL,NULL,1,0,0);
CREATE TABLE dead_letter_hours (
	fingerprint VARCHAR(64) NOT NULL, 
	hour INTEGER NOT NULL, 
	count INTEGER NOT NULL, 
	CONSTRAINT pk_dead_letter_hours PRIMARY KEY (fingerprint, hour)
);
INSERT INTO "dead_letter_hours" VALUES('e37082afbaba5dd1',498854,1);
INSERT INTO "dead_letter_hours" VALUES('cb55d03dfa56636b',498854,1);
INSERT INTO "dead_letter_hours" VALUES('a7bfd5d3d896eabb',498854,2);
INSERT INTO "dead_letter_hours" VALUES('8d72315a333e78c3',498854,1);
INSERT INTO "dead_letter_hours" VALUES('a102938cbb9aa59f',498854,2);
INSERT INTO "dead_letter_hours" VALUES('c3d69f4cb93b9f53',498854,1);
INSERT INTO "dead_letter_hours" VALUES('f947df1963a002f1',498854,1);
INSERT INTO "dead_letter_hours" VALUES('b91a824d913bb9fa',498854,1);
INSERT INTO "dead_letter_hours" VALUES('3d891d2de18ec350',498854,1);
CREATE TABLE dead_letter_tags (
	letter_id VARCHAR(36) NOT NULL, 
	tag VARCHAR(64) NOT NULL, 
	value VARCHAR(255) NOT NULL, 
	CONSTRAINT pk_dead_letter_tags PRIMARY KEY (letter_id, tag)
);
INSERT INTO "dead_letter_tags" VALUES('01a222a2-10b9-74f0-9858-0f9fa1c93495','tenant','b');
INSERT INTO "dead_letter_tags" VALUES('01a222a2-1a94-773e-b74c-a4fcc89d3eef','tenant','a');
INSERT INTO "dead_letter_tags" VALUES('01a222a2-1b6a-711e-a40f-6584a8970b83','tenant','a');
INSERT INTO "dead_letter_tags" VALUES('01a222a2-1b8a-7373-9585-c09008e82d89','tenant','a');
INSERT INTO "dead_letter_tags" VALUES('01a222a2-2537-7650-8634-8688bfb9141e','tenant','a');
CREATE TABLE dead_letter_words (
	word VARCHAR(40) NOT NULL, 
	letter_id VARCHAR(36) NOT NULL, 
	CONSTRAINT pk_dead_letter_words PRIMARY KEY (word, letter_id)
)
 WITHOUT ROWID

;
INSERT INTO "dead_letter_words" VALUES('0','01a222a2-10b9-74f0-9858-0f9fa1c93495');
INSERT INTO "dead_letter_words" VALUES('0','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('0','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('01a222a2','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('0401','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('10a3','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('2','01a222a2-10b9-74f0-9858-0f9fa1c93495');
INSERT INTO "dead_letter_words" VALUES('26874','01a222a2-1df2-73b6-b314-9ba0902721eb');
INSERT INTO "dead_letter_words" VALUES('3','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('3','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('4','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('4711','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('4711','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('4711','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('4711','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('5','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('5','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('6','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('6','01a222a2-1ade-778d-b28b-18131a8e386a');
INSERT INTO "dead_letter_words" VALUES('6','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('6','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('6','01a222a2-1df2-73b6-b314-9ba0902721eb');
INSERT INTO "dead_letter_words" VALUES('6','01a222a2-1faa-7377-be59-e2ae51fb8cdc');
INSERT INTO "dead_letter_words" VALUES('70f5','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('8628cb308060','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('a','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('a2a8','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('after','01a222a2-1ade-778d-b28b-18131a8e386a');
INSERT INTO "dead_letter_words" VALUES('an','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('ask','01a222a2-1ade-778d-b28b-18131a8e386a');
INSERT INTO "dead_letter_words" VALUES('builtins','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('buy','01a222a2-1faa-7377-be59-e2ae51fb8cdc');
INSERT INTO "dead_letter_words" VALUES('by','01a222a2-1df2-73b6-b314-9ba0902721eb');
INSERT INTO "dead_letter_words" VALUES('call','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('carrier','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('carrier','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('carrier','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('carrier','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('carrier','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('carrierdown','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('carrierdown','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('carrierdown','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('carrierdown','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('charge','01a222a2-10b9-74f0-9858-0f9fa1c93495');
INSERT INTO "dead_letter_words" VALUES('checkpoint','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('connection','01a222a2-1faa-7377-be59-e2ae51fb8cdc');
INSERT INTO "dead_letter_words" VALUES('connectionerror','01a222a2-1faa-7377-be59-e2ae51fb8cdc');
INSERT INTO "dead_letter_words" VALUES('control','01a222a2-10b9-74f0-9858-0f9fa1c93495');
INSERT INTO "dead_letter_words" VALUES('control','01a222a2-1ade-778d-b28b-18131a8e386a');
INSERT INTO "dead_letter_words" VALUES('count','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('dataclass','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('decision','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('discard','01a222a2-10b9-74f0-9858-0f9fa1c93495');
INSERT INTO "dead_letter_words" VALUES('does','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('does','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('does','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('does','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('down','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('down','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('down','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('down','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('drone','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('drone','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('enum','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('error','01a222a2-1faa-7377-be59-e2ae51fb8cdc');
INSERT INTO "dead_letter_words" VALUES('errors','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('form','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('has','01a222a2-10b9-74f0-9858-0f9fa1c93495');
INSERT INTO "dead_letter_words" VALUES('has','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('in','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('is','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('it','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('its','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('its','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('job','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('json','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('killed','01a222a2-1df2-73b6-b314-9ba0902721eb');
INSERT INTO "dead_letter_words" VALUES('limit','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('longer','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('longer','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('lost','01a222a2-1df2-73b6-b314-9ba0902721eb');
INSERT INTO "dead_letter_words" VALUES('main','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('many','01a222a2-1ade-778d-b28b-18131a8e386a');
INSERT INTO "dead_letter_words" VALUES('model','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('msgspec','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('no','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('not','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('not','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('not','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('not','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('nothing','01a222a2-10b9-74f0-9858-0f9fa1c93495');
INSERT INTO "dead_letter_words" VALUES('o','01a222a2-10b9-74f0-9858-0f9fa1c93495');
INSERT INTO "dead_letter_words" VALUES('o','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('o','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('o','01a222a2-1ade-778d-b28b-18131a8e386a');
INSERT INTO "dead_letter_words" VALUES('o','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('o','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('o','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('o','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('o','01a222a2-1df2-73b6-b314-9ba0902721eb');
INSERT INTO "dead_letter_words" VALUES('o','01a222a2-1faa-7377-be59-e2ae51fb8cdc');
INSERT INTO "dead_letter_words" VALUES('o','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('object','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('of','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('of','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('of','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('of','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('of','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('of','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('operation','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('operationtimeout','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('or','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('order','01a222a2-10b9-74f0-9858-0f9fa1c93495');
INSERT INTO "dead_letter_words" VALUES('order','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('order','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('order','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('order','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('pass','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('perdure','01a222a2-10b9-74f0-9858-0f9fa1c93495');
INSERT INTO "dead_letter_words" VALUES('perdure','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('perdure','01a222a2-1ade-778d-b28b-18131a8e386a');
INSERT INTO "dead_letter_words" VALUES('perdure','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('perdure','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('plain','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('poison','01a222a2-1df2-73b6-b314-9ba0902721eb');
INSERT INTO "dead_letter_words" VALUES('post','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('post','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('process','01a222a2-1df2-73b6-b314-9ba0902721eb');
INSERT INTO "dead_letter_words" VALUES('pydantic','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('ran','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('reached','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('refused','01a222a2-1faa-7377-be59-e2ae51fb8cdc');
INSERT INTO "dead_letter_words" VALUES('requests','01a222a2-1ade-778d-b28b-18131a8e386a');
INSERT INTO "dead_letter_words" VALUES('resilience','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('retry','01a222a2-1ade-778d-b28b-18131a8e386a');
INSERT INTO "dead_letter_words" VALUES('retryafter','01a222a2-1ade-778d-b28b-18131a8e386a');
INSERT INTO "dead_letter_words" VALUES('running','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('s','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('s','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('ship','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('ship','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('ship','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('ship','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('shop','01a222a2-10b9-74f0-9858-0f9fa1c93495');
INSERT INTO "dead_letter_words" VALUES('shop','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('shop','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('shop','01a222a2-1ade-778d-b28b-18131a8e386a');
INSERT INTO "dead_letter_words" VALUES('shop','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('shop','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('shop','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('shop','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('shop','01a222a2-1df2-73b6-b314-9ba0902721eb');
INSERT INTO "dead_letter_words" VALUES('shop','01a222a2-1faa-7377-be59-e2ae51fb8cdc');
INSERT INTO "dead_letter_words" VALUES('shop','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('sigkill','01a222a2-1df2-73b6-b314-9ba0902721eb');
INSERT INTO "dead_letter_words" VALUES('slow','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('still','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('struct','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('supplier','01a222a2-1faa-7377-be59-e2ae51fb8cdc');
INSERT INTO "dead_letter_words" VALUES('take','01a222a2-1a94-773e-b74c-a4fcc89d3eef');
INSERT INTO "dead_letter_words" VALUES('take','01a222a2-1b6a-711e-a40f-6584a8970b83');
INSERT INTO "dead_letter_words" VALUES('take','01a222a2-1b8a-7373-9585-c09008e82d89');
INSERT INTO "dead_letter_words" VALUES('take','01a222a2-2537-7650-8634-8688bfb9141e');
INSERT INTO "dead_letter_words" VALUES('than','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('than','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('thread','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('time','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('timelimitreached','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('timeout','01a222a2-139e-7485-ab20-cd3d55354d77');
INSERT INTO "dead_letter_words" VALUES('timeout','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('timeouts','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('to','01a222a2-10b9-74f0-9858-0f9fa1c93495');
INSERT INTO "dead_letter_words" VALUES('too','01a222a2-1ade-778d-b28b-18131a8e386a');
INSERT INTO "dead_letter_words" VALUES('took','01a222a2-1be1-7153-aac7-b21ae2dfdbee');
INSERT INTO "dead_letter_words" VALUES('unserialisable','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('values','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('what','01a222a2-1c19-722e-80d5-952d6aba9b60');
INSERT INTO "dead_letter_words" VALUES('worker','01a222a2-1df2-73b6-b314-9ba0902721eb');
INSERT INTO "dead_letter_words" VALUES('workerlost','01a222a2-1df2-73b6-b314-9ba0902721eb');
CREATE TABLE dead_letters (
	id VARCHAR(36) NOT NULL, 
	job_id VARCHAR(36), 
	task VARCHAR(255) NOT NULL, 
	bulkhead VARCHAR(64), 
	args TEXT, 
	kwargs TEXT, 
	tags TEXT, 
	priority INTEGER, 
	timeout DOUBLE, 
	reason VARCHAR(16) NOT NULL, 
	error_type VARCHAR(255), 
	error TEXT, 
	traceback TEXT, 
	fingerprint VARCHAR(64) NOT NULL, 
	breaker VARCHAR(255), 
	attempts INTEGER DEFAULT '0' NOT NULL, 
	checkpoint_seq BIGINT DEFAULT '0' NOT NULL, 
	replay_of VARCHAR(36), 
	generation INTEGER DEFAULT '0' NOT NULL, 
	raw BLOB, 
	created_at DOUBLE NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	replayed_as VARCHAR(36), 
	replayed_by VARCHAR(255), 
	replayed_at DOUBLE, 
	replayed_in VARCHAR(36), 
	resolved_reason TEXT, 
	note TEXT, 
	noted_by VARCHAR(255), 
	noted_at DOUBLE, 
	CONSTRAINT pk_dead_letters PRIMARY KEY (id)
);
INSERT INTO "dead_letters" VALUES('01a222a2-10b9-74f0-9858-0f9fa1c93495','01a222a2-1050-7631-bd7a-16026d4d67d7','shop.charge','critical','["o-2",0]','{}','{"tenant":"b"}',5,NULL,'discarded','perdure.control.Discard','order o-2 has nothing to charge','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 35, in charge
    raise Discard(f"order {order} has nothing to charge")
perdure.control.Discard: order o-2 has nothing to charge
','e37082afbaba5dd1',NULL,1,0,NULL,0,NULL,1.70126937618998575214e+09,'open',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "dead_letters" VALUES('01a222a2-139e-7485-ab20-cd3d55354d77','01a222a2-10ab-7530-9c8f-bb99e2675a0d','shop.slow','normal','["o-6"]','{}',NULL,5,NULL,'timeout','perdure.decision.TimeLimitReached','ran longer than its timeout of 0.3 s','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 65, in slow
    time.sleep(30)
  File "/opt/perdure/workers/perdure_workers/time_limit.py", line 35, in interrupt
    raise SoftTimeLimitExceeded(seconds)
perdure.decision.TimeLimitReached: ran longer than its timeout of 0.3 s
','cb55d03dfa56636b',NULL,1,0,NULL,0,NULL,1.70126937694500088692e+09,'open',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "dead_letters" VALUES('01a222a2-1a94-773e-b74c-a4fcc89d3eef','01a222a2-1066-77c2-a9cb-d14e811a14f4','shop.ship','normal','["o-5","drone"]','{}','{"tenant":"a"}',5,NULL,'exhausted','shop.CarrierDown','drone does not take order 4711 of ''o-5''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: drone does not take order 4711 of ''o-5''
','a7bfd5d3d896eabb',NULL,3,0,NULL,0,NULL,1.70126937872801280021e+09,'replayed','01a222a2-2460-75b6-b505-d97f4d176cb0','ann',1.70126938121900701523e+09,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "dead_letters" VALUES('01a222a2-1ade-778d-b28b-18131a8e386a','01a222a2-106d-7301-81d3-76b11a96ac67','shop.ask','normal','["o-6"]','{}',NULL,5,NULL,'exhausted','perdure.control.RetryAfter','too many requests','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 44, in ask
    raise RetryAfter(0.01, "too many requests")
perdure.control.RetryAfter: too many requests
','8d72315a333e78c3',NULL,3,0,NULL,0,NULL,1.7012693787830114365e+09,'open',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "dead_letters" VALUES('01a222a2-1b6a-711e-a40f-6584a8970b83','01a222a2-105b-7198-b6ae-fdb4a68f8720','shop.ship','normal','["o-3","post"]','{}','{"tenant":"a"}',5,NULL,'exhausted','shop.CarrierDown','post does not take order 4711 of ''o-3''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: post does not take order 4711 of ''o-3''
','a102938cbb9aa59f',NULL,3,0,NULL,0,NULL,1.70126937892298245435e+09,'open',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "dead_letters" VALUES('01a222a2-1b8a-7373-9585-c09008e82d89','01a222a2-1062-7504-be52-09c372789279','shop.ship','normal','["o-4","post"]','{}','{"tenant":"a"}',5,NULL,'exhausted','shop.CarrierDown','post does not take order 4711 of ''o-4''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: post does not take order 4711 of ''o-4''
','a102938cbb9aa59f',NULL,3,0,NULL,0,NULL,1.70126937895500802999e+09,'discarded',NULL,NULL,NULL,NULL,'not wanted (by ann)',NULL,NULL,NULL);
INSERT INTO "dead_letters" VALUES('01a222a2-1be1-7153-aac7-b21ae2dfdbee','01a222a2-107d-7113-8dc9-0bcbe66e036b','shop.call','normal','["o-6"]','{}',NULL,5,NULL,'exhausted','perdure.resilience.timeouts.OperationTimeout','''carrier'' took longer than 0.0401 s; it is still running in its thread','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 52, in call
    app.service("carrier").call(time.sleep, 1)
  File "/opt/perdure/platform/perdure/resilience/service.py", line 134, in call
    return self.serve(fn, *args, **kwargs).value
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 139, in serve
    return Served(self._bounded(fn, *args, **kwargs))
                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 191, in _bounded
    return self._guarded(fn, *args, **kwargs)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 198, in _guarded
    return cast("R", self.breaker.call(self._retried, fn, *args, **kwargs))
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/breaker.py", line 102, in call
    result = fn(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 203, in _retried
    return cast("R", self.retrying.call(self._attempt, fn, *args, **kwargs))
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/retrying.py", line 75, in call
    result: R = retrying(fn, *args, **kwargs)
                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 550, in __call__
    do = self.iter(retry_state=retry_state)
         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 440, in iter
    result = action(retry_state)
             ^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 482, in exc_check
    retry_exc.reraise()
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 216, in reraise
    raise self.last_attempt.result()
          ^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/concurrent/futures/_base.py", line 449, in result
    return self.__get_result()
           ^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/concurrent/futures/_base.py", line 401, in __get_result
    raise self._exception
  File "/usr/lib/python3.11/site-packages/tenacity/__init__.py", line 553, in __call__
    result = fn(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/service.py", line 208, in _attempt
    return self.timeout.call(fn, *args, **kwargs)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/timeouts.py", line 139, in call
    raise self._too_late(seconds, still_running=True)
perdure.resilience.timeouts.OperationTimeout: ''carrier'' took longer than 0.0401 s; it is still running in its thread
','c3d69f4cb93b9f53',NULL,3,0,NULL,0,NULL,1.70126937904199218749e+09,'open',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "dead_letters" VALUES('01a222a2-1c19-722e-80d5-952d6aba9b60','01a222a2-10a3-70f5-a2a8-8628cb308060','shop.count','normal','["o-6"]','{}',NULL,5,NULL,'exhausted','perdure.errors.Unserialisable','checkpoint ''main'' of job 01a222a2-10a3-70f5-a2a8-8628cb308060[''what'']: a builtins.object has no JSON form. Pass plain values, a dataclass, an enum, a msgspec struct or a pydantic model.','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 60, in count
    ctx.checkpoint.save({"what": object()})  # perdure itself refuses it
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/checkpoint.py", line 110, in save
    data = states.pack(state, self._context.state_policy.version, self._title)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/state.py", line 68, in pack
    return f''{{"{_VERSION}":{version},"{_STATE}":{codec.encode(state, what=what)}}}''.encode()
                                                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 56, in encode
    return dumps(to_plain(value, typed=typed, what=what), what=what)
                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 62, in to_plain
    return _tagged(value, typed, what)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 160, in _tagged
    return _tagged_dict(value, typed, path)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 199, in _tagged_dict
    content[_key_text(key)] = _tagged(item, typed, f"{path}[{key!r:.60}]")
                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 166, in _tagged
    return _tagged_object(value, typed, path)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/codec.py", line 214, in _tagged_object
    raise Unserialisable(
perdure.errors.Unserialisable: checkpoint ''main'' of job 01a222a2-10a3-70f5-a2a8-8628cb308060[''what'']: a builtins.object has no JSON form. Pass plain values, a dataclass, an enum, a msgspec struct or a pydantic model.
','f947df1963a002f1',NULL,3,3,NULL,0,NULL,1.70126937910399150845e+09,'open',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "dead_letters" VALUES('01a222a2-1df2-73b6-b314-9ba0902721eb','01a222a2-10b1-745c-bae3-d725c24f8b28','shop.poison','normal','["o-6"]','{}',NULL,5,NULL,'crashed','WorkerLost','process 26874 killed by SIGKILL',NULL,'b91a824d913bb9fa',NULL,3,0,NULL,0,NULL,1.70126937957600641248e+09,'open',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "dead_letters" VALUES('01a222a2-1faa-7377-be59-e2ae51fb8cdc','01a222a2-10b5-7699-ba69-c9bf7623ead1','shop.buy','normal','["o-6"]','{}',NULL,5,NULL,'exhausted','ConnectionError','supplier refused o-6','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
                                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/platform/perdure/resilience/breaker.py", line 102, in call
    result = fn(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 75, in buy
    raise ConnectionError(f"supplier refused {order}")
ConnectionError: supplier refused o-6
','3d891d2de18ec350','supplier',3,0,NULL,0,NULL,1.70126938004001522063e+09,'open',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "dead_letters" VALUES('01a222a2-2537-7650-8634-8688bfb9141e','01a222a2-2460-75b6-b505-d97f4d176cb0','shop.ship','normal','["o-5","drone"]','{}','{"tenant":"a"}',5,NULL,'exhausted','shop.CarrierDown','drone does not take order 4711 of ''o-5''','Traceback (most recent call last):
  File "/opt/perdure/workers/perdure_workers/execute.py", line 177, in _run
    value = self._call(task, claim, limit)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 209, in _call
    return run() if task.breaker is None else self._app.breakers[task.breaker].call(run)
           ^^^^^
  File "/opt/perdure/workers/perdure_workers/execute.py", line 206, in run
    value = task.function(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop.py", line 40, in ship
    raise CarrierDown(f"{carrier} does not take order 4711 of ''{order}''")
shop.CarrierDown: drone does not take order 4711 of ''o-5''
','a7bfd5d3d896eabb',NULL,3,0,'01a222a2-1066-77c2-a9cb-d14e811a14f4',1,NULL,1.70126938144201946259e+09,'open',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE facts (
	name VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	CONSTRAINT pk_facts PRIMARY KEY (name)
);
INSERT INTO "facts" VALUES('broker_epoch','01a222a1-f023-7107-9662-bb262281c8dc',1.70126936788401603691e+09);
CREATE TABLE job_notes (
	id VARCHAR(36) NOT NULL, 
	job_id VARCHAR(36) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	text TEXT NOT NULL, 
	at DOUBLE NOT NULL, 
	CONSTRAINT pk_job_notes PRIMARY KEY (id)
);
CREATE TABLE job_tags (
	job_id VARCHAR(36) NOT NULL, 
	tag VARCHAR(64) NOT NULL, 
	value VARCHAR(255) NOT NULL, 
	CONSTRAINT pk_job_tags PRIMARY KEY (job_id, tag)
);
INSERT INTO "job_tags" VALUES('01a222a2-0f86-77df-9f93-72d4ba3d74b3','tenant','a');
INSERT INTO "job_tags" VALUES('01a222a2-0f86-77df-9f93-72d4ba3d74b3','vip','yes');
INSERT INTO "job_tags" VALUES('01a222a2-1050-7631-bd7a-16026d4d67d7','tenant','b');
INSERT INTO "job_tags" VALUES('01a222a2-105b-7198-b6ae-fdb4a68f8720','tenant','a');
INSERT INTO "job_tags" VALUES('01a222a2-1062-7504-be52-09c372789279','tenant','a');
INSERT INTO "job_tags" VALUES('01a222a2-1066-77c2-a9cb-d14e811a14f4','tenant','a');
INSERT INTO "job_tags" VALUES('01a222a2-2460-75b6-b505-d97f4d176cb0','tenant','a');
CREATE TABLE jobs (
	id VARCHAR(36) NOT NULL, 
	task VARCHAR(255) NOT NULL, 
	bulkhead VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	priority INTEGER NOT NULL, 
	args TEXT NOT NULL, 
	kwargs TEXT NOT NULL, 
	payload_digest VARCHAR(64) NOT NULL, 
	tags TEXT, 
	idempotency_key VARCHAR(255), 
	idempotency_expires_at DOUBLE, 
	created_at DOUBLE NOT NULL, 
	run_at DOUBLE, 
	queued_at DOUBLE, 
	ticketed_at DOUBLE, 
	first_started_at DOUBLE, 
	started_at DOUBLE, 
	finished_at DOUBLE, 
	deadline DOUBLE, 
	timeout DOUBLE, 
	fence INTEGER DEFAULT '0' NOT NULL, 
	attempt INTEGER DEFAULT '0' NOT NULL, 
	crashes INTEGER DEFAULT '0' NOT NULL, 
	snoozes INTEGER DEFAULT '0' NOT NULL, 
	worker_id VARCHAR(36), 
	worker_name VARCHAR(255), 
	worker_pid INTEGER, 
	progress_done DOUBLE, 
	progress_total DOUBLE, 
	progress_message TEXT, 
	progress_at DOUBLE, 
	checkpoint_seq BIGINT DEFAULT '0' NOT NULL, 
	checkpointed_at DOUBLE, 
	result TEXT, 
	error_type VARCHAR(255), 
	error TEXT, 
	dead_letter_id VARCHAR(36), 
	replay_of VARCHAR(36), 
	replica_of VARCHAR(36), 
	breaker VARCHAR(255), 
	limit_key VARCHAR(255), 
	cancel_requested_at DOUBLE, 
	cancel_reason TEXT, 
	unknown_since DOUBLE, 
	CONSTRAINT pk_jobs PRIMARY KEY (id)
);
INSERT INTO "jobs" VALUES('01a222a2-0f86-77df-9f93-72d4ba3d74b3','shop.charge','critical','succeeded',5,'["o-1",4200]','{}','5595aaa0ab7ceaafd2d6a38466c3508551629ab3adcee993c883028a754aa8a1','{"tenant":"a","vip":"yes"}','o-1',4000000000.0,1.70126937588799595837e+09,NULL,1.70126937588799595837e+09,NULL,1.70126937611998033518e+09,1.70126937611998033518e+09,1.70126937613800477983e+09,NULL,NULL,1,1,0,0,NULL,'critical@host-1',NULL,NULL,NULL,NULL,NULL,0,NULL,'{"order":"o-1","cents":4200}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-1050-7631-bd7a-16026d4d67d7','shop.charge','critical','dead',5,'["o-2",0]','{}','aa4c0824fe4e36cb33abfed3098723d7e04131bec2bb47f126e7308a5443329e','{"tenant":"b"}',NULL,NULL,1.70126937608099436764e+09,NULL,1.70126937608099436764e+09,NULL,1.70126937618000793461e+09,1.70126937618000793461e+09,1.70126937618600273128e+09,NULL,NULL,1,1,0,0,NULL,'critical@host-1',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'perdure.control.Discard','order o-2 has nothing to charge','01a222a2-10b9-74f0-9858-0f9fa1c93495',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-105b-7198-b6ae-fdb4a68f8720','shop.ship','normal','dead',5,'["o-3","post"]','{}','544ee372e523c71271c6f2110c76a0136959f74971206b90140bcc24be4d5334','{"tenant":"a"}',NULL,NULL,1.70126937609201812741e+09,NULL,1.70126937785801148417e+09,NULL,1.70126937612999820713e+09,1.70126937891199874874e+09,1.70126937892201685912e+09,NULL,NULL,3,3,0,0,NULL,'normal@host-1',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'shop.CarrierDown','post does not take order 4711 of ''o-3''','01a222a2-1b6a-711e-a40f-6584a8970b83',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-1062-7504-be52-09c372789279','shop.ship','normal','dead',5,'["o-4","post"]','{}','6078ba84259ce6c52fab7da01e9d89ffca571cdb0ba52c1d84a4e4c542ec9752','{"tenant":"a"}',NULL,NULL,1.70126937609801292422e+09,NULL,1.70126937802598476412e+09,NULL,1.70126937620901608465e+09,1.70126937895299649235e+09,1.70126937895500802999e+09,NULL,NULL,3,3,0,0,NULL,'normal@host-1',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'shop.CarrierDown','post does not take order 4711 of ''o-4''','01a222a2-1b8a-7373-9585-c09008e82d89',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-1066-77c2-a9cb-d14e811a14f4','shop.ship','normal','dead',5,'["o-5","drone"]','{}','af4b37950105fff7eaaf04327d68b7b1b49fa8f01c6462940e5ea7f9ce818027','{"tenant":"a"}',NULL,NULL,1.70126937610300183294e+09,NULL,1.70126937777999925611e+09,NULL,1.70126937623400092125e+09,1.70126937870499944684e+09,1.70126937871900057791e+09,NULL,NULL,3,3,0,0,NULL,'normal@host-1',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'shop.CarrierDown','drone does not take order 4711 of ''o-5''','01a222a2-1a94-773e-b74c-a4fcc89d3eef',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-106d-7301-81d3-76b11a96ac67','shop.ask','normal','dead',5,'["o-6"]','{}','c86ce07af6cb658bf0f9f156fa73192c0106078b732ae0a6e71866a8afd7707f',NULL,NULL,NULL,1.70126937611000251769e+09,NULL,1.70126937777999925611e+09,NULL,1.70126937627298688892e+09,1.70126937878099966051e+09,1.7012693787830114365e+09,NULL,NULL,3,3,0,0,NULL,'normal@host-1',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'perdure.control.RetryAfter','too many requests','01a222a2-1ade-778d-b28b-18131a8e386a',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-1073-7183-921c-235508adce32','shop.wait','normal','retrying',5,'["o-6"]','{}','c86ce07af6cb658bf0f9f156fa73192c0106078b732ae0a6e71866a8afd7707f',NULL,NULL,NULL,1.70126937611499118806e+09,1.70135577633100295059e+09,1.70126937611499118806e+09,NULL,1.70126937632001924509e+09,1.70126937632001924509e+09,NULL,NULL,NULL,1,0,0,1,NULL,'normal@host-1',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'perdure.control.Snooze','the shop is closed',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-107d-7113-8dc9-0bcbe66e036b','shop.call','normal','dead',5,'["o-6"]','{}','c86ce07af6cb658bf0f9f156fa73192c0106078b732ae0a6e71866a8afd7707f',NULL,NULL,NULL,1.70126937615900635718e+09,NULL,1.70126937802598476412e+09,NULL,1.70126937638600158686e+09,1.70126937897798109051e+09,1.70126937904199218749e+09,NULL,NULL,3,3,0,0,NULL,'normal@host-1',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'perdure.resilience.timeouts.OperationTimeout','''carrier'' took longer than 0.0401 s; it is still running in its thread','01a222a2-1be1-7153-aac7-b21ae2dfdbee',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-10a3-70f5-a2a8-8628cb308060','shop.count','normal','dead',5,'["o-6"]','{}','c86ce07af6cb658bf0f9f156fa73192c0106078b732ae0a6e71866a8afd7707f',NULL,NULL,NULL,1.70126937616298937799e+09,NULL,1.70126937809100151066e+09,NULL,1.70126937654399728767e+09,1.7012693790689885616e+09,1.70126937909699082378e+09,NULL,NULL,3,3,0,0,NULL,'normal@host-1',NULL,3.0,10.0,'counting',1.70126937908399558066e+09,3,1701269379.071,NULL,'perdure.errors.Unserialisable','checkpoint ''main'' of job 01a222a2-10a3-70f5-a2a8-8628cb308060[''what'']: a builtins.object has no JSON form. Pass plain values, a dataclass, an enum, a msgspec struct or a pydantic model.','01a222a2-1c19-722e-80d5-952d6aba9b60',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-10ab-7530-9c8f-bb99e2675a0d','shop.slow','normal','dead',5,'["o-6"]','{}','c86ce07af6cb658bf0f9f156fa73192c0106078b732ae0a6e71866a8afd7707f',NULL,NULL,NULL,1.7012693761709957123e+09,NULL,1.7012693761709957123e+09,NULL,1.70126937661899185175e+09,1.70126937661899185175e+09,1.70126937692601084704e+09,NULL,NULL,1,1,0,0,NULL,'normal@host-1',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'perdure.decision.TimeLimitReached','ran longer than its timeout of 0.3 s','01a222a2-139e-7485-ab20-cd3d55354d77',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-10b1-745c-bae3-d725c24f8b28','shop.poison','normal','dead',5,'["o-6"]','{}','c86ce07af6cb658bf0f9f156fa73192c0106078b732ae0a6e71866a8afd7707f',NULL,NULL,NULL,1.70126937617699050897e+09,NULL,1.70126937838200783734e+09,NULL,1.70126937697501468653e+09,1.70126937912298154833e+09,1.70126937957101774219e+09,NULL,NULL,3,3,3,0,NULL,'normal@host-1',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'WorkerLost','process 26874 killed by SIGKILL','01a222a2-1df2-73b6-b314-9ba0902721eb',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-10b5-7699-ba69-c9bf7623ead1','shop.buy','normal','dead',5,'["o-6"]','{}','c86ce07af6cb658bf0f9f156fa73192c0106078b732ae0a6e71866a8afd7707f',NULL,NULL,NULL,1.70126937620201563834e+09,NULL,1.70126937906299376492e+09,NULL,1.70126937761898636819e+09,1.70126937996799802773e+09,1701269380.02702,NULL,NULL,3,3,0,0,NULL,'normal@host-1',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'ConnectionError','supplier refused o-6','01a222a2-1faa-7377-be59-e2ae51fb8cdc',NULL,NULL,'supplier',NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-10cc-777b-a035-4f7619f44395','shop.report','background','succeeded',5,'[]','{}','44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',NULL,NULL,NULL,1.7012693762049927712e+09,NULL,1.7012693762049927712e+09,NULL,1.70126937628300476073e+09,1.70126937628300476073e+09,1.70126937630300068852e+09,NULL,NULL,1,1,0,0,NULL,'background@host-1',NULL,NULL,NULL,NULL,NULL,0,NULL,'7',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-10e0-753c-8bc5-2f96d65ad3b8','shop.charge','critical','scheduled',5,'["o-7",1]','{}','da598afa21d16d19d1fb60373c28fcc5f6fd3259f9300e2fbbb791ae87ea1e00',NULL,NULL,NULL,1.70126937622498869895e+09,2.74195737622498893746e+09,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-23e9-723e-93c5-9a095ddfa889','shop.report','background','queued',1,'[]','{}','44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',NULL,NULL,NULL,1.70126938109798574441e+09,NULL,1.70126938109798574441e+09,1.70126938109798574441e+09,NULL,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('01a222a2-2403-70f2-9d52-f432902e4031','shop.charge','critical','cancelled',5,'["o-8",1]','{}','dff419dc4832bfddc6f6ad1887e3dad72e1fc2d6db15a2d8b2119f6d01cc5be9',NULL,NULL,NULL,1.70126938112401676172e+09,NULL,NULL,NULL,NULL,NULL,1.70126938112799978254e+09,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1.70126938112799978254e+09,'cancelled by its submitter',NULL);
INSERT INTO "jobs" VALUES('01a222a2-2460-75b6-b505-d97f4d176cb0','shop.ship','normal','dead',5,'["o-5","drone"]','{}','af4b37950105fff7eaaf04327d68b7b1b49fa8f01c6462940e5ea7f9ce818027','{"tenant":"a"}',NULL,NULL,1.70126938121800136568e+09,NULL,1.70126938140198731425e+09,NULL,1.70126938123200225827e+09,1.70126938142898368831e+09,1.70126938143099546429e+09,NULL,NULL,3,3,0,0,NULL,'normal@host-1',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'shop.CarrierDown','drone does not take order 4711 of ''o-5''','01a222a2-2537-7650-8634-8688bfb9141e','01a222a2-1066-77c2-a9cb-d14e811a14f4',NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE replication_groups (
	name VARCHAR(255) NOT NULL, 
	epoch INTEGER NOT NULL, 
	"primary" VARCHAR(255) NOT NULL, 
	sequence INTEGER NOT NULL, 
	promoted_by VARCHAR(255), 
	reason TEXT, 
	updated_at DOUBLE NOT NULL, 
	CONSTRAINT pk_replication_groups PRIMARY KEY (name)
);
CREATE TABLE replication_log (
	group_name VARCHAR(255) NOT NULL, 
	sequence INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	job_id VARCHAR(36) NOT NULL, 
	operation TEXT NOT NULL, 
	result TEXT NOT NULL, 
	recorded_at DOUBLE NOT NULL, 
	CONSTRAINT pk_replication_log PRIMARY KEY (group_name, sequence)
);
CREATE TABLE replication_members (
	group_name VARCHAR(255) NOT NULL, 
	member VARCHAR(255) NOT NULL, 
	applied INTEGER NOT NULL, 
	CONSTRAINT pk_replication_members PRIMARY KEY (group_name, member)
);
CREATE TABLE schedules (
	name VARCHAR(255) NOT NULL, 
	last_tick DOUBLE NOT NULL, 
	last_job_id VARCHAR(36), 
	updated_at DOUBLE NOT NULL, 
	CONSTRAINT pk_schedules PRIMARY KEY (name)
);
INSERT INTO "schedules" VALUES('shop.report',1.70126936765999794013e+09,NULL,1.70126936765999794013e+09);
INSERT INTO "schedules" VALUES('perdure.prune',1.70126936785701966285e+09,NULL,1.70126936785701966285e+09);
CREATE TABLE steps (
	job_id VARCHAR(36) NOT NULL, 
	position INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	result TEXT NOT NULL, 
	tries INTEGER NOT NULL, 
	fence INTEGER NOT NULL, 
	finished_at DOUBLE NOT NULL, 
	CONSTRAINT pk_steps PRIMARY KEY (job_id, position)
);
INSERT INTO "steps" VALUES('01a222a2-10a3-70f5-a2a8-8628cb308060',1,'begun','"O-6"',1,1,1.70126937654898619653e+09);
INSERT INTO "steps" VALUES('01a222a2-10b5-7699-ba69-c9bf7623ead1',1,'quote','3',1,1,1.70126937767700242998e+09);
CREATE TABLE worker_events (
	id VARCHAR(36) NOT NULL, 
	worker_id VARCHAR(36) NOT NULL, 
	worker_name VARCHAR(255) NOT NULL, 
	bulkhead VARCHAR(64) NOT NULL, 
	source VARCHAR(16), 
	target VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	at DOUBLE NOT NULL, 
	silence DOUBLE, 
	CONSTRAINT pk_worker_events PRIMARY KEY (id)
);
INSERT INTO "worker_events" VALUES('01a222a1-f471-75fa-9dfe-83730faa9bb4','01a222a1-f27b-750e-9e94-da90d980adf3','normal@host-1','normal',NULL,'healthy','started',1.70126936894600987431e+09,NULL);
INSERT INTO "worker_events" VALUES('01a222a1-f488-77c5-9758-15655da65c03','01a222a1-f277-712b-a81f-44c906402580','critical@host-1','critical',NULL,'healthy','started',1.70126936898101282112e+09,NULL);
INSERT INTO "worker_events" VALUES('01a222a1-f6fb-708b-9a37-2a3d9b0604af','01a222a1-f341-76a2-9a3d-ee2ab58e3e10','background@host-1','background',NULL,'healthy','started',1.70126936959601640694e+09,NULL);
INSERT INTO "worker_events" VALUES('01a222a2-47a5-771c-8d33-e52a6c6b31e9','01a222a1-f27b-750e-9e94-da90d980adf3','normal@host-1','normal','healthy','gone','stopped',1.70126939024498915675e+09,2.26029872894287109375e-01);
INSERT INTO "worker_events" VALUES('01a222a2-47b2-71f7-a340-1b88ba597aab','01a222a1-f277-712b-a81f-44c906402580','critical@host-1','critical','healthy','gone','stopped',1.70126939025899028782e+09,1.300334930419921875e-01);
INSERT INTO "worker_events" VALUES('01a222a2-48ae-701f-b957-7c79a63f0dc0','01a222a1-f341-76a2-9a3d-ee2ab58e3e10','background@host-1','background','healthy','gone','stopped',1.70126939051101064683e+09,7.78993844985961914062e-01);
CREATE TABLE workers (
	id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	bulkhead VARCHAR(64) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	pid INTEGER NOT NULL, 
	concurrency INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	draining BOOLEAN NOT NULL, 
	started_at DOUBLE NOT NULL, 
	heartbeat_at DOUBLE NOT NULL, 
	lease_ttl DOUBLE NOT NULL, 
	lock_path TEXT, 
	life_line DOUBLE, 
	state_changed_at DOUBLE NOT NULL, 
	state_reason TEXT, 
	CONSTRAINT pk_workers PRIMARY KEY (id)
);
INSERT INTO "workers" VALUES('01a222a1-f27b-750e-9e94-da90d980adf3','normal@host-1','normal','host-1',26710,1,'gone',1,1.70126936894500398632e+09,1.70126939001698780054e+09,5.0,'/srv/shop/.perdure/workers/01a222a1-f27b-750e-9e94-da90d980adf3.lock',NULL,1.70126939024498915675e+09,'stopped');
INSERT INTO "workers" VALUES('01a222a1-f277-712b-a81f-44c906402580','critical@host-1','critical','host-1',26708,1,'gone',1,1.70126936896701145174e+09,1.70126939012698531151e+09,5.0,'/srv/shop/.perdure/workers/01a222a1-f277-712b-a81f-44c906402580.lock',NULL,1.70126939025798439974e+09,'stopped');
INSERT INTO "workers" VALUES('01a222a1-f341-76a2-9a3d-ee2ab58e3e10','background@host-1','background','host-1',26711,1,'gone',1,1.70126936959501051899e+09,1.70126938973000502589e+09,5.0,'/srv/shop/.perdure/workers/01a222a1-f341-76a2-9a3d-ee2ab58e3e10.lock',NULL,1.70126939051000475883e+09,'stopped');
CREATE INDEX ix_attempts_finished ON attempts (finished_at);
CREATE INDEX ix_dead_letter_audit_fingerprint ON dead_letter_audit (fingerprint, id) WHERE fingerprint IS NOT NULL;
CREATE INDEX ix_dead_letter_audit_letter ON dead_letter_audit (letter_id, id) WHERE letter_id IS NOT NULL;
CREATE INDEX ix_dead_letter_groups_changed ON dead_letter_groups (fingerprint) WHERE changed;
CREATE INDEX ix_dead_letter_hours_hour ON dead_letter_hours (hour);
CREATE INDEX ix_dead_letter_tags_lookup ON dead_letter_tags (tag, value, letter_id);
CREATE INDEX ix_dead_letters_breaker ON dead_letters (breaker, id) WHERE breaker IS NOT NULL;
CREATE INDEX ix_dead_letters_bulkhead ON dead_letters (bulkhead, id);
CREATE INDEX ix_dead_letters_error_type ON dead_letters (error_type, id);
CREATE INDEX ix_dead_letters_fingerprint ON dead_letters (fingerprint, id);
CREATE INDEX ix_dead_letters_job ON dead_letters (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX ix_dead_letters_reason ON dead_letters (reason, id);
CREATE INDEX ix_dead_letters_replayed_in ON dead_letters (replayed_in, id) WHERE replayed_in IS NOT NULL;
CREATE INDEX ix_dead_letters_status ON dead_letters (status, id);
CREATE INDEX ix_dead_letters_task ON dead_letters (task, id);
CREATE INDEX ix_dead_letters_waiting ON dead_letters (breaker, task, id) WHERE status = 'open' AND breaker IS NOT NULL;
CREATE INDEX ix_job_notes_job ON job_notes (job_id, id);
CREATE INDEX ix_job_tags_lookup ON job_tags (tag, value, job_id);
CREATE INDEX ix_jobs_bulkhead ON jobs (bulkhead, id);
CREATE INDEX ix_jobs_deadline ON jobs (deadline) WHERE deadline IS NOT NULL AND finished_at IS NULL;
CREATE INDEX ix_jobs_due ON jobs (run_at) WHERE run_at IS NOT NULL;
CREATE INDEX ix_jobs_given_room ON jobs (state, bulkhead, task, limit_key) WHERE state = 'queued' AND ticketed_at IS NOT NULL AND limit_key IS NOT NULL;
CREATE INDEX ix_jobs_queued ON jobs (state, bulkhead, priority, ticketed_at) WHERE state = 'queued';
CREATE INDEX ix_jobs_replay_of ON jobs (replay_of) WHERE replay_of IS NOT NULL;
CREATE INDEX ix_jobs_running ON jobs (state, worker_id) WHERE state = 'running';
CREATE INDEX ix_jobs_state ON jobs (state, id);
CREATE INDEX ix_jobs_task ON jobs (task, id);
CREATE INDEX ix_jobs_unknown ON jobs (unknown_since) WHERE unknown_since IS NOT NULL AND finished_at IS NULL;
CREATE INDEX ix_jobs_unticketed ON jobs (state, ticketed_at, id) WHERE state = 'queued' AND ticketed_at IS NULL AND limit_key IS NULL;
CREATE INDEX ix_jobs_waiting_for_room ON jobs (state, bulkhead, task, limit_key, priority, id) WHERE state = 'queued' AND ticketed_at IS NULL AND limit_key IS NOT NULL;
CREATE UNIQUE INDEX ux_jobs_idempotency ON jobs (task, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX ux_jobs_replica_of ON jobs (replica_of, worker_name) WHERE replica_of IS NOT NULL;
CREATE UNIQUE INDEX ux_replication_log_key ON replication_log (group_name, "key");
CREATE INDEX ix_worker_events_worker ON worker_events (worker_name, id);
CREATE INDEX ix_workers_live ON workers (heartbeat_at) WHERE state IN ('healthy', 'suspect');
COMMIT;
